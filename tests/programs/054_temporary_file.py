# row: 54
# expect: passed_test
# elsewhere: judges whose own temporary directory is named to the program, which cannot write there

import tempfile
with tempfile.TemporaryFile("w+") as file:
    file.write(input())
    file.seek(0)
    print(sum(map(int, file.read().split())))
