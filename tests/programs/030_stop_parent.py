# row: 30
# expect: passed_test|runtime_error Timeout|runtime_error Killed
# elsewhere: the same with SIGSTOP

import os
import signal
os.kill(os.getppid(), signal.SIGSTOP)
print(sum(map(int, input().split())))
