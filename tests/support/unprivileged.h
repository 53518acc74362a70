// Permission tests as an ordinary user: root may read everything, so its effective user is changed for a scope.
#pragma once

#include <unistd.h>

#include <gtest/gtest.h>

namespace esparse {

class Unprivileged {
 public:
  Unprivileged() {
    if (geteuid() != 0) return;
    changed_ = seteuid(kNobody) == 0;
    EXPECT_TRUE(changed_);
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  ~Unprivileged() {
    if (changed_ && seteuid(0) != 0) ADD_FAILURE() << "cannot become root again";
  }

 private:
  static constexpr uid_t kNobody = 65534;
  bool changed_ = false;
};

}  // namespace esparse
