#pragma once

namespace sealcast::sip {

// What sip_default_mclass() reads from now on: the headers that the library only knows on demand, and any method. By
// itself it takes methods that begin like one that it knows (PING, REF) or have unusual characters for no messages at
// all, and drops them without an answer. Once; any thread.
void prepare_library_parser();

}  // namespace sealcast::sip
