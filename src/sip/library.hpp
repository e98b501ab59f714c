#pragma once
// The SIP library, ready for use: counted, and set up once for the process. Whoever parses or prints messages holds
// one.

namespace sealcast::sip {

class Library {
 public:
  Library();
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

}  // namespace sealcast::sip
