#include "swarm/storage_job.hpp"

namespace sealcast::swarm {

JobDone run(StorageJob job) {
  JobDone out;
  out.id = job.id;
  out.nodes.emplace(content::leaves_of(job.chunk_size, job.buffer), job.layer);
  if (!job.expected || out.nodes->root() != *job.expected) {
    out.status = JobStatus::different;
  } else if (auto written = job.storage->write(job.offset, job.buffer); written) {
    job.storage->verified(job.offset, job.buffer);
    out.status = JobStatus::written;
  } else {
    out.error = written.error();
  }
  out.buffer = std::move(job.buffer);
  return out;
}

}  // namespace sealcast::swarm
