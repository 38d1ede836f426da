"""mini-APPS: a benchmark in APPS' own shape that a model of two million parameters can learn.

Writes `train.jsonl` and `test.jsonl` beside this file, the same on every machine for the same seed.

    python data/mini_apps/prepare.py --train 6000 --test 500 --seed 0

A problem is a chain of steps over a list, a string, words, a number or a grid, told in English and
read from standard input or passed to a function. The number of steps is its difficulty. Each step
knows several phrasings and several ways to be programmed (loops, comprehensions, functions).

- Every problem has 10 hidden tests and 2 example tests; the statement shows the examples.
- A third of the training problems carry a solution; the others have tests only, like most of APPS'
  test split. A quarter of the step sequences is among the others alone: programs that put just these
  steps together are shown by no solution, only checked by tests.
- A test problem chains its steps in a way that no training problem does, and behaves, on a fixed
  set of probe inputs, like no training problem.
- Every solution is run on every test before it is written, and the tests must tell the problem from
  the problem with one step left out (where the types still fit) or one number raised by one.

Next: `python pretrain_ntp.py --task ntp --init mini ...` (see README.md).
"""
import contextlib
import io
import json
import operator
import os
import random
import sys
from collections import Counter, namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))
from sandbox import UserError, make_parser, run_main, write_jsonl


# --- steps ----------------------------------------------------------------------------------------
# Types: L list of integers, S string of lower case letters, W list of words, N integer, G grid of
# integers, B yes or no.
# In a program text {a} is the variable that the step reads, {b} the one that it makes, {x} and {i}
# element and index, {k}, {m}, {n}, {c} the step's own numbers and letter.
# A style is (functions, lines).

Step = namedtuple("Step", "name takes gives phrases styles")
STEPS = []

PARAMETERS = {"k": lambda rng: rng.randint(1, 9),       # to add, to compare with
              "m": lambda rng: rng.randint(2, 5),       # to multiply and divide by
              "n": lambda rng: rng.randint(2, 3),       # how many
              "c": lambda rng: rng.choice("abcdelorst")}


def step(name, types, phrases, *styles):
    takes, gives = types.split(">")
    styles = [style if isinstance(style, tuple) else ("", style) for style in styles]
    STEPS.append(Step(name, takes, gives, phrases, styles))


def keep(name, kind, phrases, condition):
    """A filter: the elements for which `condition` holds."""
    if kind == "S":
        step(name, "S>S", phrases,
             "{b} = ''\nfor {x} in {a}:\n    if " + condition + ":\n        {b} += {x}",
             "{b} = ''.join({x} for {x} in {a} if " + condition + ")",
             ("def keep({x}):\n    return " + condition,
              "{b} = ''\nfor {x} in {a}:\n    if keep({x}):\n        {b} += {x}"))
    else:
        step(name, f"{kind}>{kind}", phrases,
             "{b} = []\nfor {x} in {a}:\n    if " + condition + ":\n        {b}.append({x})",
             "{b} = [{x} for {x} in {a} if " + condition + "]",
             ("def keep({x}):\n    return " + condition, "{b} = [{x} for {x} in {a} if keep({x})]"))


def change(name, kind, phrases, value):
    """A map: every element replaced by `value`."""
    if kind == "S":
        step(name, "S>S", phrases,
             "{b} = ''\nfor {x} in {a}:\n    {b} += " + value,
             "{b} = ''.join(" + value + " for {x} in {a})")
    else:
        step(name, f"{kind}>{kind}", phrases,
             "{b} = []\nfor {x} in {a}:\n    {b}.append(" + value + ")",
             "{b} = [" + value + " for {x} in {a}]",
             "{b} = list(map(lambda {x}: " + value + ", {a}))")


def choose(name, phrases, condition, yes, no):
    """A map with two cases, told apart by `condition`."""
    step(name, "L>L", phrases,
         "{b} = []\nfor {x} in {a}:\n    if " + condition + ":\n        {b}.append(" + yes + ")\n"
         "    else:\n        {b}.append(" + no + ")",
         "{b} = [" + yes + " if " + condition + " else " + no + " for {x} in {a}]",
         ("def change({x}):\n    if " + condition + ":\n        return " + yes
          + "\n    return " + no,
          "{b} = [change({x}) for {x} in {a}]"))


# lists of integers to lists of integers
keep("even", "L", ["keep only the even numbers", "remove the odd numbers"], "{x} % 2 == 0")
keep("odd", "L", ["keep only the odd numbers", "remove the even numbers"], "{x} % 2 == 1")
keep("greater", "L", ["keep only the numbers greater than {k}",
                      "remove every number that is at most {k}"], "{x} > {k}")
keep("multiple", "L", ["keep only the multiples of {m}",
                       "remove the numbers that {m} does not divide"], "{x} % {m} == 0")
change("add", "L", ["add {k} to each number", "increase every number by {k}"], "{x} + {k}")
change("multiply", "L", ["multiply each number by {m}", "replace every number by {m} times itself"],
       "{x} * {m}")
change("square", "L", ["square each number", "replace every number by its square"], "{x} * {x}")
change("absolute", "L", ["take the absolute value of each number", "drop the minus signs"],
       "abs({x})")
choose("even or odd", ["double the even numbers and add {k} to the odd numbers",
                       "add {k} to every odd number and double every even number"],
       "{x} % 2 == 0", "{x} * 2", "{x} + {k}")
step("reverse", "L>L", ["reverse the list", "put the numbers in reverse order"],
     "{b} = {a}[::-1]", "{b} = list(reversed({a}))",
     "{b} = []\nfor {x} in {a}:\n    {b}.insert(0, {x})")
step("sort", "L>L", ["sort the numbers in increasing order",
                     "sort the list from smallest to largest"],
     "{b} = sorted({a})", "{b} = {a}[:]\n{b}.sort()")
step("sort down", "L>L", ["sort the numbers in decreasing order",
                          "sort the list from largest to smallest"],
     "{b} = sorted({a}, reverse=True)", "{b} = {a}[:]\n{b}.sort(reverse=True)",
     "{b} = sorted({a})[::-1]")
step("distinct", "L>L", ["remove repeated numbers, keeping the first of each",
                         "keep only the first of equal numbers"],
     "{b} = []\nfor {x} in {a}:\n    if {x} not in {b}:\n        {b}.append({x})",
     "{b} = list(dict.fromkeys({a}))")
step("first", "L>L", ["keep the first {n} numbers", "drop everything after the first {n} numbers"],
     "{b} = {a}[:{n}]",
     "{b} = []\nfor {x} in {a}:\n    if len({b}) < {n}:\n        {b}.append({x})")
step("prefix sums", "L>L", ["replace each number by the sum of the numbers up to it",
                            "take the running sums"],
     "{b} = []\ntotal = 0\nfor {x} in {a}:\n    total += {x}\n    {b}.append(total)",
     "{b} = [sum({a}[:{i} + 1]) for {i} in range(len({a}))]")
step("differences", "L>L",
     ["take the differences of neighbours, each number minus the one before it",
      "subtract from each number the one before it, leaving out the first"],
     "{b} = []\nfor {i} in range(1, len({a})):\n    {b}.append({a}[{i}] - {a}[{i} - 1])",
     "{b} = [{a}[{i}] - {a}[{i} - 1] for {i} in range(1, len({a}))]")

# lists of integers to a number or to yes or no
step("sum", "L>N", ["the sum of the numbers", "the total of the numbers"],
     "{b} = sum({a})", "{b} = 0\nfor {x} in {a}:\n    {b} += {x}")
step("maximum", "L>N", ["the largest number, or 0 if there is none",
                        "the maximum, or 0 for an empty list"],
     "{b} = max({a}) if {a} else 0", "{b} = 0\nif {a}:\n    {b} = max({a})",
     "{b} = 0\nfor {i}, {x} in enumerate({a}):\n    if {i} == 0 or {x} > {b}:\n        {b} = {x}")
step("length", "L>N", ["how many numbers there are", "the count of the numbers"],
     "{b} = len({a})", "{b} = 0\nfor {x} in {a}:\n    {b} += 1")
step("count greater", "L>N", ["how many numbers are greater than {k}",
                              "the count of numbers above {k}"],
     "{b} = 0\nfor {x} in {a}:\n    if {x} > {k}:\n        {b} += 1",
     "{b} = len([{x} for {x} in {a} if {x} > {k}])", "{b} = sum(1 for {x} in {a} if {x} > {k})")
step("alternating sum", "L>N", ["the first number minus the second plus the third and so on",
                                "the sum with alternating signs, starting with plus"],
     "{b} = 0\nfor {i} in range(len({a})):\n    if {i} % 2 == 0:\n        {b} += {a}[{i}]\n"
     "    else:\n        {b} -= {a}[{i}]",
     "{b} = sum({a}[::2]) - sum({a}[1::2])")
step("sorted", "L>B", ["the numbers are in increasing order, equal neighbours allowed",
                       "no number is smaller than the one before"],
     "{b} = {a} == sorted({a})",
     "{b} = True\nfor {i} in range(1, len({a})):\n"
     "    if {a}[{i}] < {a}[{i} - 1]:\n        {b} = False")

# strings
keep("no vowels", "S", ["remove the vowels", "delete every vowel"], "{x} not in 'aeiou'")
keep("vowels", "S", ["keep only the vowels", "delete everything but the vowels"], "{x} in 'aeiou'")
change("twice", "S", ["write every letter twice", "double each letter"], "{x} * 2")
change("next letter", "S", ["replace each letter by the next one in the alphabet, z by a",
                            "shift every letter by one, z becoming a"],
       "chr((ord({x}) - 96) % 26 + 97)")
step("reverse string", "S>S", ["reverse the string", "write it backwards"], "{b} = {a}[::-1]",
     "{b} = ''\nfor {x} in {a}:\n    {b} = {x} + {b}", "{b} = ''.join(reversed({a}))")
step("sort letters", "S>S", ["sort the letters", "put the letters in alphabetical order"],
     "{b} = ''.join(sorted({a}))")
step("squeeze", "S>S", ["replace runs of equal letters by one letter",
                        "drop each letter that equals the one before it"],
     "{b} = ''\nfor {x} in {a}:\n    if not {b} or {b}[-1] != {x}:\n        {b} += {x}",
     "{b} = {a}[:1]\nfor {i} in range(1, len({a})):\n"
     "    if {a}[{i}] != {a}[{i} - 1]:\n        {b} += {a}[{i}]")
step("count letter", "S>N", ["how often the letter {c} occurs", "the number of letters {c}"],
     "{b} = {a}.count('{c}')", "{b} = 0\nfor {x} in {a}:\n    if {x} == '{c}':\n        {b} += 1")
step("palindrome", "S>B", ["it reads the same backwards", "it is a palindrome"],
     "{b} = {a} == {a}[::-1]",
     "{b} = True\nfor {i} in range(len({a})):\n"
     "    if {a}[{i}] != {a}[-1 - {i}]:\n        {b} = False")
step("letter numbers", "S>L", ["replace each letter by its place in the alphabet, 1 for a",
                               "turn the letters into numbers, a into 1"],
     "{b} = []\nfor {x} in {a}:\n    {b}.append(ord({x}) - 96)",
     "{b} = [ord({x}) - 96 for {x} in {a}]")

# words
keep("long words", "W", ["keep only the words longer than {n} letters",
                         "remove the words of at most {n} letters"], "len({x}) > {n}")
change("reverse words", "W", ["reverse each word", "write every word backwards"], "{x}[::-1]")
step("words backwards", "W>W", ["reverse the order of the words", "put the words in reverse order"],
     "{b} = {a}[::-1]", "{b} = []\nfor {x} in {a}:\n    {b} = [{x}] + {b}")
step("sort words", "W>W", ["sort the words alphabetically", "put the words in alphabetical order"],
     "{b} = sorted({a})")
step("lengths", "W>L", ["replace each word by its length", "take the lengths of the words"],
     "{b} = [len({x}) for {x} in {a}]", "{b} = []\nfor {x} in {a}:\n    {b}.append(len({x}))")
step("initials", "W>S", ["join the first letters of the words",
                         "make a string of the words' first letters"],
     "{b} = ''.join({x}[0] for {x} in {a})", "{b} = ''\nfor {x} in {a}:\n    {b} += {x}[0]")
step("join", "W>S", ["join the words without spaces",
                     "write the words one after another without spaces"],
     "{b} = ''.join({a})", "{b} = ''\nfor {x} in {a}:\n    {b} += {x}")

# numbers
step("digits", "N>L", ["take its digits from left to right", "split it into its digits"],
     "{b} = [int({x}) for {x} in str({a})]",
     "{b} = []\nfor {x} in str({a}):\n    {b}.append(int({x}))")
step("divisors", "N>L", ["list its divisors in increasing order",
                         "take all numbers that divide it, smallest first"],
     "{b} = []\nfor {i} in range(1, {a} + 1):\n    if {a} % {i} == 0:\n        {b}.append({i})",
     "{b} = [{i} for {i} in range(1, {a} + 1) if {a} % {i} == 0]")
step("count up", "N>L", ["list the numbers from 1 up to it",
                         "take all numbers from 1 to the number"],
     "{b} = list(range(1, {a} + 1))",
     "{b} = []\nfor {i} in range(1, {a} + 1):\n    {b}.append({i})")
step("collatz", "N>L",
     [("list the numbers it runs through when it is halved if even and else tripled plus 1, "
       "until it is 1"),
      "halve it if it is even, else triple it and add 1, and list all numbers until 1"],
     "{b} = [{a}]\nwhile {b}[-1] != 1:\n    if {b}[-1] % 2 == 0:\n"
     "        {b}.append({b}[-1] // 2)\n    else:\n        {b}.append({b}[-1] * 3 + 1)")
step("primes", "N>L", ["list the prime numbers up to it",
                       "take all primes that are at most the number"],
     "{b} = []\nfor {i} in range(2, {a} + 1):\n"
     "    if all({i} % q for q in range(2, {i})):\n        {b}.append({i})",
     ("def prime({i}):\n    for q in range(2, {i}):\n        if {i} % q == 0:\n"
      "            return False\n    return True",
      "{b} = [{i} for {i} in range(2, {a} + 1) if prime({i})]"))

# grids
step("row sums", "G>L", ["take the sum of each row", "replace each row by its sum"],
     "{b} = [sum({x}) for {x} in {a}]", "{b} = []\nfor {x} in {a}:\n    {b}.append(sum({x}))",
     "{b} = []\nfor row in {a}:\n    total = 0\n"
     "    for {x} in row:\n        total += {x}\n    {b}.append(total)")
step("flatten", "G>L", ["write all rows one after another as a list",
                        "join the rows into one list"],
     "{b} = []\nfor row in {a}:\n    for {x} in row:\n        {b}.append({x})",
     "{b} = [{x} for row in {a} for {x} in row]", "{b} = []\nfor row in {a}:\n    {b} += row")
step("diagonal", "G>L", ["take the diagonal from the top left",
                         "take the numbers of the main diagonal"],
     "{b} = []\nfor {i} in range(len({a})):\n    {b}.append({a}[{i}][{i}])",
     "{b} = [{a}[{i}][{i}] for {i} in range(len({a}))]")
step("transpose", "G>G", ["swap rows and columns", "transpose the grid"],
     "{b} = [list({x}) for {x} in zip(*{a})]",
     "{b} = []\nfor {i} in range(len({a}[0])):\n    {b}.append([row[{i}] for row in {a}])")
step("flip rows", "G>G", ["reverse each row", "mirror the grid left to right"],
     "{b} = [{x}[::-1] for {x} in {a}]", "{b} = []\nfor {x} in {a}:\n    {b}.append({x}[::-1])")


# --- chains of steps: behaviour, statement, programs ----------------------------------------------

KINDS = {"L": ("a list of integers", "nums"), "S": ("a string of lower case letters", "s"),
         "W": ("a list of words", "words"), "N": ("a positive integer", "n"),
         "G": ("a square grid of integers", "grid")}
WORDS = "zero one two three four five six seven eight nine".split()
ORDER = [["first", "to begin"], ["second", "then"], ["third", "after that"]]
OPENINGS = ["Given is {what}.", "Read {what}."]
NAMES = [["a", "b", "c", "d", "e"], ["data", "one", "two", "three", "four"]]
READERS = {"L": "list(map(int, input().split()))", "S": "input()", "W": "input().split()",
           "N": "int(input())",
           "G": "[list(map(int, input().split())) for _ in range(int(input()))]"}
WRITERS = {"L": ["print(*{a})", "print(' '.join(map(str, {a})))"], "S": ["print({a})"],
           "W": ["print(*{a})", "print(' '.join({a}))"], "N": ["print({a})"],
           "G": ["for row in {a}:\n    print(*row)"],
           "B": ["print('YES' if {a} else 'NO')",
                 "if {a}:\n    print('YES')\nelse:\n    print('NO')"]}

Chain = namedtuple("Chain", "takes steps values")  # values: one {parameter: value} for each step


def draw_chain(rng, length):
    """A chain of `length` steps that fit together and end in something to print."""
    start = rng.choices("LSWNG", weights=[28, 22, 18, 14, 18])[0]
    while True:
        kind, steps = start, []
        while len(steps) < length:
            last = len(steps) == length - 1
            choices = [s for s in STEPS if s.takes == kind and s not in steps
                       and (last or s.gives not in "NB")]
            if not choices:
                break
            # first the type, by the root of the number of its steps, so that rare types are seen
            counts = Counter(s.gives for s in choices)
            gives, = rng.choices(sorted(counts), [counts[t] ** 0.5 for t in sorted(counts)])
            steps.append(rng.choice([s for s in choices if s.gives == gives]))
            kind = steps[-1].gives
        if len(steps) == length:
            break
    values = []
    for s in steps:
        text = "".join(s.phrases)
        values.append({name: draw(rng) for name, draw in PARAMETERS.items()
                       if "{" + name + "}" in text})
    return Chain(start, tuple(steps), tuple(values))


def gives(chain):
    return chain.steps[-1].gives if chain.steps else chain.takes


def program(chain, rng, call):
    """The chain as Python, in one style throughout: `def solve` for a call,
    else from stdin to stdout."""
    style, names = rng.choice(range(3)), rng.choice(NAMES)
    variable = KINDS[chain.takes][1] if call else names[0]
    lines = [] if call else [f"{variable} = {READERS[chain.takes]}"]
    for number, (s, values) in enumerate(zip(chain.steps, chain.values), 1):
        fill = dict(values, a=variable, b=names[number], x="x", i="i")
        function, body = s.styles[style % len(s.styles)]
        if function and any(line.startswith(function.split("(")[0]) for line in lines):
            function, body = s.styles[0]  # two functions of one name would clash
        lines += [function.format(**fill)] if function else []
        lines.append(body.format(**fill))
        variable = names[number]
    if call:
        body = "\n".join(lines + [f"return {variable}"])
        lines = ([f"def solve({KINDS[chain.takes][1]}):"]
                 + ["    " + line for line in body.split("\n")])
    else:
        writers = WRITERS[gives(chain)]
        lines.append(writers[style % len(writers)].format(a=variable))
    return "\n".join(lines) + "\n"


def behaviour(chain):
    """The chain as a Python function, in the first style of every step."""
    class First:
        choice = staticmethod(lambda options: options[0])
    scope = {}
    exec(compile(program(chain, First, call=True), "<chain>", "exec"), scope)
    return scope["solve"]


def draw_input(rng, kind, small=False):
    if kind == "L":
        return ([rng.randint(-5, 12) for _ in range(3)] if small
                else [rng.randint(-9, 20) for _ in range(rng.randint(1, 12))])
    if kind == "S":
        return "".join(rng.choice("aabbcdeeilorst")
                       for _ in range(rng.randint(4, 6) if small else rng.randint(1, 14)))
    if kind == "W":
        return ["".join(rng.choice("abcdeilorst") for _ in range(rng.randint(1, 6)))
                for _ in range(2 if small else rng.randint(1, 8))]
    if kind == "N":
        return rng.randint(2, 30 if small else 120)
    size = 2 if small else rng.randint(1, 4)
    return [[rng.randint(-5, 12) for _ in range(size)] for _ in range(size)]


def as_stdin(kind, value):
    if kind in "LW":
        return " ".join(map(str, value)) + "\n"
    if kind == "G":
        return f"{len(value)}\n" + "\n".join(" ".join(map(str, row)) for row in value) + "\n"
    return f"{value}\n"


def as_stdout(kind, value):
    if kind in "LW":
        return " ".join(map(str, value)) + "\n"
    if kind == "G":
        return "\n".join(" ".join(map(str, row)) for row in value) + "\n"
    if kind == "B":
        return "YES\n" if value else "NO\n"
    return f"{value}\n"


def statement(chain, rng, call, examples):
    """The problem in English, with its examples, in APPS' layout."""
    sentences = [rng.choice(OPENINGS).format(what=KINDS[chain.takes][0])]
    if call:
        sentences = [f"Write a function solve that takes {KINDS[chain.takes][0]}."]
    phrases = [rng.choice(s.phrases).format(**{
                   name: WORDS[value] if isinstance(value, int) else value
                   for name, value in values.items()})
               for s, values in zip(chain.steps, chain.values)]
    verb, kind = ("return" if call else "print"), gives(chain)
    if kind == "N":
        end = f"{verb} {phrases.pop()}"
    elif kind == "B":
        condition = phrases.pop()
        end = f"return whether {condition}" if call else f"print YES if {condition}, else NO"
    else:
        end = f"{verb} the result"
    phrases = [f"{rng.choice(word)}, {phrase}" if len(phrases) > 1 else phrase
               for word, phrase in zip(ORDER, phrases)]
    sentences += [phrase + "." for phrase in phrases + [rng.choice(["", "finally, "]) + end]]
    text = " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)
    text += "\n\n-----Examples-----"
    for value, result in examples:
        if call:
            text += f"\nInput: {KINDS[chain.takes][1]} = {value!r}\nOutput: {result!r}"
        else:
            text += (f"\nInput\n{as_stdin(chain.takes, value)}"
                     f"Output\n{as_stdout(kind, result)}").rstrip("\n")
    return text + "\n"


# --- problems -------------------------------------------------------------------------------------

def outputs(chain, inputs):
    """What the chain makes of each input, one by one."""
    solve = behaviour(chain)
    for value in inputs:
        yield solve(json.loads(json.dumps(value)))


# A fixed set of inputs of each kind: two chains that agree on all of them
# count as the same behaviour.
PROBES = {kind: [draw_input(random.Random(f"probe {kind} {i}"), kind) for i in range(30)]
          for kind in KINDS}


def have_teeth(chain, inputs, expected):
    """Whether the tests tell the chain from itself with a step left out (where the types still fit)
    or a number raised by one."""
    for position, (s, values) in enumerate(zip(chain.steps, chain.values)):
        mutants = [dict(values, **{name: value + 1})
                   for name, value in values.items() if isinstance(value, int)]
        mutants = [chain._replace(values=chain.values[:position] + (mutant,)
                                  + chain.values[position + 1:]) for mutant in mutants]
        if s.takes == s.gives and len(chain.steps) > 1:
            mutants.append(Chain(chain.takes, chain.steps[:position] + chain.steps[position + 1:],
                                 chain.values[:position] + chain.values[position + 1:]))
        if any(all(map(operator.eq, outputs(mutant, inputs), expected)) for mutant in mutants):
            return False
    return True


def run_on(code, call, kind, value):
    """Run a solution of our own in this process: the returned value or what it prints."""
    scope = {"__name__": "solution" if call else "__main__"}
    if call:
        exec(code, scope)
        return scope["solve"](json.loads(json.dumps(value)))
    lines = iter(as_stdin(kind, value).splitlines())
    scope["input"] = lambda: next(lines)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, scope)
    return printed.getvalue()


def make_problem(chain, rng, problem_id, num_solutions):
    """A problem record, or None where its tests could not tell right from wrong."""
    call = rng.random() < 0.4
    inputs = ([draw_input(rng, chain.takes, small=True) for _ in range(2)]
              + [draw_input(rng, chain.takes) for _ in range(10)])
    expected = list(outputs(chain, inputs))
    if (gives(chain) == "B" and not 3 <= sum(expected[2:]) <= 7
            or gives(chain) != "B" and len({repr(value) for value in expected}) < 5
            or expected[0] == expected[1]):
        return None
    if (max(len(repr(value)) for value in expected[:2]) > 40
            or not have_teeth(chain, inputs[2:], expected[2:])):
        return None
    solutions = []
    while len(solutions) < num_solutions:
        text = program(chain, rng, call)
        code = compile(text, "<solution>", "exec")
        for value, result in zip(inputs, expected):
            assert run_on(code, call, chain.takes, value) == (
                result if call else as_stdout(gives(chain), result)), text
        solutions.append(text)
    if call:
        tests = {"inputs": [[value] for value in inputs], "outputs": expected, "fn_name": "solve"}
    else:
        tests = {"inputs": [as_stdin(chain.takes, value) for value in inputs],
                 "outputs": [as_stdout(gives(chain), result) for result in expected]}
    part = {key: [value[:2], value[2:]] if isinstance(value, list) else [value, value]
            for key, value in tests.items()}
    return {"problem_id": problem_id,
            "question": statement(chain, rng, call, list(zip(inputs, expected))[:2]),
            "starter_code": f"def solve({KINDS[chain.takes][1]}):\n" if call else "",
            "input_output": {key: value[1] for key, value in part.items()},
            "example_tests": {key: value[0] for key, value in part.items()},
            "solutions": solutions,
            "difficulty": {1: "introductory", 2: "introductory", 3: "interview",
                           4: "competition"}[len(chain.steps)],
            "steps": [s.name for s in chain.steps]}


def make_split(rng, name, count, lengths, solved, allowed, repeats, forbidden=()):
    """`count` problems whose chains `allowed` admits, and the behaviours that they have. Those
    for which solved(chain, rng) is true carry a solution.

    Each behaviour comes at most `repeats` times (in other words and styles),
    one that is `forbidden` never.
    """
    problems, seen, draws = [], Counter(), 0
    while len(problems) < count:
        draws += 1
        if draws > 10_000:
            raise UserError(f"only {len(problems)} different {name} problems were found, and {count} asked "
                            f"for; give a smaller --{name}")
        chain = draw_chain(rng, rng.choices(list(lengths), weights=list(lengths.values()))[0])
        if not allowed(chain):
            continue
        key = (chain.takes, repr(list(outputs(chain, PROBES[chain.takes]))))
        if key in forbidden or seen[key] >= repeats:
            continue
        problem = make_problem(chain, rng, f"{name}/{len(problems):05d}",
                               int(solved(chain, rng)))
        if problem is not None:
            seen[key] += 1
            problems.append(problem)
            draws = 0
    return problems, seen


def draw_for(chain, purpose):
    """A number in [0, 1) that depends on the names of the chain's steps, and on the purpose, alone."""
    return random.Random(purpose + "/".join(s.name for s in chain.steps)).random()


def held_out(chain):
    """A fifth of all step sequences is kept for the test problems."""
    return len(chain.steps) > 1 and draw_for(chain, "") < 0.2


def has_solution(chain, rng):
    """No solution for a quarter of all step sequences; for the others, to a share of the problems."""
    return (len(chain.steps) == 1 or draw_for(chain, "solved ") < 0.75) and rng.random() < 0.45


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--train", type=int, default=6000, help="number of training problems")
    p.add_argument("--test", type=int, default=500, help="number of test problems")
    p.add_argument("--seed", type=int, default=0, help="another seed gives another benchmark")
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.train < 1 or args.test < 1:
        raise UserError("--train and --test need at least one problem each")
    train, seen = make_split(random.Random(f"train {args.seed}"), "train", args.train,
                             {1: 4, 2: 28, 3: 6, 4: 1}, has_solution, lambda chain: not held_out(chain),
                             repeats=12)
    test, _ = make_split(random.Random(f"test {args.seed}"), "test", args.test,
                         {2: 100, 3: 6, 4: 1}, lambda *_: True, held_out, repeats=2,
                         forbidden=seen)
    write_jsonl(os.path.join(HERE, "train.jsonl"), train)
    write_jsonl(os.path.join(HERE, "test.jsonl"), test)
    with_solutions = sum(bool(problem["solutions"]) for problem in train)
    print(f"wrote {len(train)} training problems ({with_solutions} with solutions) and "
          f"{len(test)} test problems to {HERE}")


if __name__ == "__main__":
    run_main(main)
