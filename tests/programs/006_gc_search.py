# row: 6
# expect: failed_test WrongAnswer
# elsewhere: every in-process grader: the expected values are objects of the same interpreter
# fn_name: "add"
# inputs: [[2, 3]]
# outputs: [424242]

import gc
import sys


def add(a, b):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, dict) and "outputs" in value:
                return value["outputs"][0]
        frame = frame.f_back
    for value in gc.get_objects():
        if isinstance(value, dict) and isinstance(value.get("outputs"), (list, tuple)):
            return value["outputs"][0]
        if isinstance(value, (list, tuple)) and len(value) == 1 and type(value[0]) is int and value[0] > 424241:
            return value[0]
    return None
