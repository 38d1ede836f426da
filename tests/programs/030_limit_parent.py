# row: 30
# expect: passed_test
# elsewhere: prlimit and setpriority reach every process of the same user, so that the next test runs under other limits

import os
import resource
for pid in (os.getppid(), 1):
    for change in (lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3)),
                   lambda: resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20)),
                   lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)):
        try:
            change()
        except OSError:
            pass
print(sum(map(int, input().split())))
