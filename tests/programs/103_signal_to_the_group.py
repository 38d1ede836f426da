# row: 103
# expect: passed_test
# elsewhere: judges whose own processes are in the candidate's group: kill(0, SIGSTOP) stops them

import os
assert os.getpgrp() > 0  # 0: the group's leader is a process that this one cannot see
print(sum(map(int, input().split())))
