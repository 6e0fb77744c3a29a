"""What the test runs' child processes have in common."""

import ctypes
import signal

# For programs of the build with sanitizers.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def die_with_parent():
    """To be run in the child (preexec_fn): it gets SIGINT when the thread that began it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)
