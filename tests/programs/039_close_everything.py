# row: 39
# expect: runtime_error Timeout
# elsewhere: judges that wait for the end of a stream

import os
os.setpgid(0, 0)
os.closerange(0, 1000)
while True:
    pass
