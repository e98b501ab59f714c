#include "swarm/storage_job.hpp"

#include <algorithm>

namespace sealcast::swarm {

std::vector<content::Digest> leaves_of(std::uint32_t chunk_size, ByteView run) {
  std::vector<ByteView> chunks;
  for (std::size_t at = 0; at < run.size(); at += chunk_size)
    chunks.push_back(run.subspan(at, std::min<std::size_t>(chunk_size, run.size() - at)));
  std::vector<content::Digest> out(chunks.size());
  crypto::sha256_batch(chunks, out);
  return out;
}

JobDone run(StorageJob job) {
  JobDone out;
  out.id = job.id;
  out.nodes.emplace(leaves_of(job.chunk_size, job.buffer), job.layer);
  if (!job.expected || out.nodes->root() != *job.expected) {
    out.status = JobStatus::different;
  } else if (auto written = job.storage->write(job.offset, job.buffer); written) {
    out.status = JobStatus::written;
  } else {
    out.error = written.error();
  }
  out.buffer = std::move(job.buffer);
  return out;
}

}  // namespace sealcast::swarm
