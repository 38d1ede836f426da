# row: 102
# expect: runtime_error
# elsewhere: every limit on the address space or on what is resident: the pages of a shared mapping outlive its shrinking

import mmap, time
kept = []
for _ in range(8):
    memory = mmap.mmap(-1, 60 << 20)
    for page in range(0, len(memory), 4096):
        memory[page] = 1
    memory.resize(4096)
    kept.append(memory)
time.sleep(0.3)
print(sum(map(int, input().split())))
