# row: 30
# expect: runtime_error Killed|passed_test
# elsewhere: Ctrl-C is an exception in a Python parent, and a failure of the judge is not the program's

import os
import signal
os.kill(os.getppid(), signal.SIGINT)
print(sum(map(int, input().split())))
