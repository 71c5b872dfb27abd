// Exit statuses of a zygote that gives up before it is ready, and what to tell the user.
#pragma once

enum zygote_status {
  ZYGOTE_NO_FSGSBASE = 10,
  ZYGOTE_FRAMES_TOO_LARGE,
  ZYGOTE_NO_AREA,
  ZYGOTE_NO_PUBLISH,
  ZYGOTE_BAD_VDSO,
  ZYGOTE_NO_RDTSCP,
  ZYGOTE_NO_LIMITS = 20,
  ZYGOTE_NO_HANDLERS,
  ZYGOTE_NO_NEW_PRIVS = 30,
  ZYGOTE_NO_FILTER,
  ZYGOTE_BAD_FILTER_FD,
};

static inline const char *zygote_reason(int status) {
  switch (status) {
  case ZYGOTE_NO_FSGSBASE: return "programs cannot use RDFSBASE: Linux 5.9 or later on a processor with FSGSBASE is needed";
  case ZYGOTE_FRAMES_TOO_LARGE: return "this processor's signal frames are larger than the stub's stack";
  case ZYGOTE_NO_RDTSCP: return "the processor has no RDTSCP";
  case ZYGOTE_NO_LIMITS: return "the host refuses prlimit(2)";
  case ZYGOTE_NO_NEW_PRIVS: return "the host refuses prctl(PR_SET_NO_NEW_PRIVS)";
  case ZYGOTE_NO_FILTER:
    return "the host refuses a seccomp filter with a listener: Linux 5.0 or later is needed, and no other program (a container manager "
           "around this one) may have attached a listener already";
  default: return "its memory could not be set up";
  }
}
