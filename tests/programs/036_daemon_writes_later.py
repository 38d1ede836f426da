# row: 36
# expect: passed_test
# elsewhere: survives killpg, writes after the verdict

import os
import time
if os.fork() == 0:
    try:
        os.setsid()
    except PermissionError:
        os.setpgid(0, 0)
    if os.fork() == 0:
        time.sleep(5)
        open("/tmp/sandbox-escaped", "w").close()
    os._exit(0)
print(sum(map(int, input().split())))
