"""The critic: predict what the unit tests will say of a program, and give every token a value
(Sec. 3.3.2).

    h_1 .. h_T = decoder states of (D, W);  u_hat = softmax(Linear(MaxPool_t h_t))     Eq. (9)
    q_hat(w_t) = softmax(Linear(h_t))[u], u the outcome that was observed              Sec. 3.3.3

Reads   --init (the NTP or warm-start checkpoint), --problems, --programs: program records judged by
        evaluate.py. Ground-truth programs of the problems join as passed.
Writes  --out/step-NNNNNN (the model, and critic_head.pt), metrics.jsonl, config.json, and
        report.json: accuracy, precision and recall of each class, the confusion table and the
        calibration of prefix values, on problems that the critic never saw, beside the majority
        class.

    python train_critic.py --init runs/ntp --problems data/mini_apps/train.jsonl \\
        --programs runs/judged.jsonl --out runs/critic

Here, unlike in the released code, padding is masked in encoder and pooling, the value of w_t comes
from the state that has consumed w_t, the pool is over states (not logits), and classes are
weighted.

`--binary` trains phi_test, the critic of critic sampling (Sec. 3.3.4): two of the four classes.
`--likelihood` shows the head how likely the program is, too. Max-pooled states do not tell it, and
it predicts the outcome better than they do: --init must be what has learned to write such programs.
`--prefixes` learns from every prefix of a program, not from the whole alone: otherwise nothing ties
the value of an unfinished program to how often it ends well. With `--likelihood` or `--prefixes` the
value of w_t is the prediction from all states so far, not from that of w_t alone.

Next: `python train_rl.py --critic runs/critic ...` (`python sample.py --critic ...` with --binary)
"""
import html
import json
import math
import os
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from pretrain_ntp import (add_trainer_flags, add_up, autocast, batches, chosen_log_probs,
                          collate, decode_program, distribute, encode_program, encode_prompt,
                          learning_rate, load_model, load_state, log_metrics, model_states,
                          newest_checkpoint, optimizer_step, parts_of, pick_device,
                          save_checkpoint, split, start_run)
from sandbox import (JUDGE_ERROR, RANK, WORLD_SIZE, Outcome, UserError, check_out, make_parser,
                     number, read_judged, read_problems, run_main, whole)


# --- data -----------------------------------------------------------------------------------------

def program_tokens(program, tokenizer, max_target):
    """The ids that were sampled; only a program without them (a ground truth, a stranger's)
    is tokenized."""
    return (program.tokens[:max_target] if program.tokens
            else encode_program(tokenizer, program.code, max_target))


def critic_items(problems, programs, tokenizer, max_source, max_target):
    """(source ids, program ids, problem_id, class) of every judged program, in their order,
    and then of every ground truth."""
    sources = {key: encode_prompt(tokenizer, problem, max_source)
               for key, problem in problems.items()}
    items = [(sources[program.key], program_tokens(program, tokenizer, max_target), program.key,
              int(Outcome.from_label(program.outcome)))
             for program in programs if program.outcome != JUDGE_ERROR]
    for key, problem in problems.items():
        items += [(sources[key], encode_program(tokenizer, code, max_target), key,
                   int(Outcome.PASSED_TEST)) for code in problem.solutions]
    return items


def check_tokens(paths, programs, name, tokenizer):
    """UserError if the programs were sampled by a model of another tokenizer than that of `name`: by
    the largest ids, and by the text of the first program that has some."""
    first = next((program for program in programs if program.tokens), None)
    if first and (any(max(program.tokens or [0]) >= len(tokenizer) for program in programs)
                  or decode_program(tokenizer, first.tokens) != first.code):
        raise UserError(f"{' '.join(paths)}: the tokens of the programs are not their code by the "
                        f"tokenizer of {name}; sample from a model with that tokenizer, or delete the "
                        f"tokens")


def check_tokenizer(name, tokenizer, model, its_tokenizer):
    """UserError if two models that read the same tokens have different tokenizers."""
    if tokenizer.get_vocab() != its_tokenizer.get_vocab():
        raise UserError(f"{name} and {model} have different tokenizers; train {name} with "
                        f"--init {model}")


def critic_batch(items, tokenizer, device):
    """source, source_mask (B, S), target, target_mask (B, T) and u (B,) of critic_items; the target
    is the program."""
    u = torch.tensor([item[3] for item in items], device=device)
    return dict(collate(items, tokenizer, device), u=u)


# --- model ----------------------------------------------------------------------------------------

class Critic(torch.nn.Module):
    """A language model that reads statement and program, and one linear layer from state to outcome.

    likelihood: the state is given one more number, the surprisal -log p(w_1 .. w_t | D) of this model,
    which was trained to write programs. It only grows: the pool takes its last value.
    binary: whether it is trained as phi_test, on two of the four outcomes.
    prefixes: whether it is trained to predict the outcome from every prefix of a program.
    """

    def __init__(self, model, likelihood=False, binary=False, prefixes=False):
        super().__init__()
        self.model, self.likelihood, self.binary, self.prefixes = model, likelihood, binary, prefixes
        self.pooled = likelihood or prefixes  # the value of a token is read from the pool so far
        self.head = torch.nn.Linear(model.config.hidden_size + likelihood, len(Outcome))
        head = model.get_output_embeddings()
        if not likelihood and head.weight is not model.get_input_embeddings().weight:
            head.requires_grad_(False)  # DDP would wait for its gradient

    def states(self, batch):
        """h_0 .. h_T, (B, 1 + T, d), with likelihood (B, 1 + T, d + 1): [:, 0] has read no token of
        the program, [:, t] has consumed w_1 .. w_t."""
        h, logits = model_states(self.model, batch["source"], batch["source_mask"], batch["target"])
        if not self.likelihood:
            return h
        log_p = chosen_log_probs(logits, batch["target"])                          # (B, T)
        surprisal = F.pad(-log_p.cumsum(dim=1), (1, 0))                            # (B, 1 + T)
        return torch.cat([h, surprisal[..., None]], dim=-1)

    @torch.no_grad()
    def believe_likelihood(self, batches):
        """Before training: the head's weights of the surprisal become 0, and for "passed" negative, so
        that what is less likely passes less often: a program of these batches' mean surprisal loses 5
        from that logit. A short training from random weights would not get there."""
        surprisal = torch.cat([self.eval().states(batch)[..., -1].gather(
            1, batch["target_mask"].sum(dim=1, keepdim=True)) for batch in batches])
        self.head.weight[:, -1] = 0
        self.head.weight[Outcome.PASSED_TEST, -1] = -5 / surprisal.mean()

    def forward(self, batch, of_each=False):
        """Logits of the outcome, (B, 4), from the states of the program's own tokens. of_each: of each
        prefix, (B, 1 + T, 4), as if the program ended at w_t; [:, 0] has read D alone."""
        h = self.states(batch)                                                     # (B, 1 + T, d)
        if not of_each:
            return self.head(max_pool(h[:, 1:], batch["target_mask"]))
        return self.head(torch.cat([h[:, :1], h[:, 1:].cummax(dim=1).values], dim=1))

    def save_pretrained(self, path, state_dict=None):
        """The model as any other, and critic_head.pt; state_dict: this module's, if it is sharded."""
        def below(prefix):
            return {key.removeprefix(prefix): value for key, value in weights.items()
                    if key.startswith(prefix)}

        weights = state_dict or self.state_dict()
        self.model.save_pretrained(path, state_dict=below("model."))
        torch.save({**below("head."), "binary": self.binary, "prefixes": self.prefixes},
                   os.path.join(path, "critic_head.pt"))


def load_critic(name, device, binary=None, positions=0):
    """(tokenizer, Critic) from a run or checkpoint directory that train_critic.py wrote; `binary`:
    which kind it has to be; `positions`: how many tokens it will have to read."""
    path = newest_checkpoint(name) or name
    head = os.path.join(path, "critic_head.pt")
    if not os.path.exists(head):
        raise UserError(f"{name} is not a critic: it holds no critic_head.pt; "
                        f"give a directory that train_critic.py wrote")
    tokenizer, model = load_model(path, device, positions, of_critic=True)
    try:
        state = torch.load(head, map_location=device, weights_only=True)
    except Exception as error:  # of many kinds, by what is torn off
        raise UserError(f"cannot read {head} ({type(error).__name__}); train the critic again") from None
    its_kind, prefixes = state.pop("binary", binary), state.pop("prefixes", False)
    if binary not in (None, its_kind):
        raise UserError(f"{name} was trained {'with' if its_kind else 'without'} --binary; sample.py "
                        f"needs a critic with it, train_rl.py one without")
    critic = Critic(model, state["weight"].shape[1] > model.config.hidden_size, its_kind,
                    prefixes).to(device)
    critic.head.load_state_dict(state)
    return tokenizer, critic.eval()


# --- objective ------------------------------------------------------------------------------------

def max_pool(h, mask):
    """h_pool = MaxPool_t(h_t) over the program's tokens alone.
    h: (B, T, d), mask: (B, T) -> (B, d)."""
    return h.masked_fill(~mask[..., None], float("-inf")).amax(dim=1)


def critic_loss(logits, u, class_weights=None, count=None, target_mask=None):
    """L_critic = - log p_phi(u | W^s, D), a mean over programs. logits: (B, 4), u: (B,).
    target_mask (B, T): logits (B, 1 + T, 4) are of the prefixes, of which a program's loss is the mean.
    count: the programs (the sum of their weights) of the whole batch, where these are a part of it."""
    if target_mask is None:
        loss = F.cross_entropy(logits.float(), u, weight=class_weights, reduction="sum")  # Eq. (9)
    else:
        mask = F.pad(target_mask, (1, 0), value=True)                              # (B, 1 + T)
        of_prefix = F.cross_entropy(logits.float().transpose(1, 2), u[:, None].expand(mask.shape),
                                    weight=class_weights, reduction="none")        # (B, 1 + T)
        loss = ((of_prefix * mask).sum(dim=1) / mask.sum(dim=1)).sum()
    return loss / (count or (len(u) if class_weights is None else class_weights[u].sum()))


@torch.no_grad()
def token_values(critic, batch):
    """v_hat_t = softmax(Linear(h_t)), (B, 1 + T, 4):
    [:, t] has consumed w_1 .. w_t; [:, 0] has read D alone. With prefixes or likelihood it is read from
    the pool of all states so far: prefixes was trained on that, and likelihood would say of h_t
    alone, beside the surprisal, that every token fails."""
    if critic.pooled:
        return prefix_predictions(critic, batch)
    return critic.head(critic.states(batch)).float().softmax(dim=-1)  # Sec. 3.3.3


@torch.no_grad()
def prefix_predictions(critic, batch):
    """softmax(Linear(MaxPool(h_1 .. h_t))), (B, 1 + T, 4): what the critic predicts (Eq. 9) if the
    program ends at w_t; [:, 0] has read D alone."""
    return critic(batch, of_each=True).float().softmax(dim=-1)


@torch.no_grad()
def q_hat(critic, batch, over_prior=False):
    """q_hat_phi(w_t) = v_hat_t[u], (B, T): how strongly the critic, having read w_t, expects the
    outcome that came; `over_prior`: divided by how strongly it does before the first token."""
    v = token_values(critic, batch)                                               # (B, 1 + T, 4)
    q = v.gather(2, batch["u"][:, None, None].expand(-1, v.shape[1], 1)).squeeze(2)  # (B, 1 + T)
    return q[:, 1:] / q[:, :1] if over_prior else q[:, 1:]                           # (B, T)


# --- report: what the critic knows ----------------------------------------------------------------

def auc(scores, positive):
    """Probability that a passing program scores higher than another one; ties count half.
    None without both kinds."""
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        return None
    passing, others = scores[positive], np.sort(scores[~positive])
    lower, at_most = (np.searchsorted(others, passing, side) for side in ("left", "right"))
    return float((lower + at_most).sum() / (2 * len(passing) * len(others)))


def calibration_error(p, happened, bins=10):
    """Expected calibration error: mean |mean p - share that happened| over bins of p,
    weighted by their size."""
    p, happened = np.asarray(p), np.asarray(happened, dtype=float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[which == b].mean() - happened[which == b].mean()) * (which == b).mean()
                     for b in range(bins) if (which == b).any()))


def bag_of_tokens(items, held_items, vocab_size, epochs=10):
    """What needs no reading order: logistic regression on which tokens stand in the statement and which
    in the program. Accuracy, and AUC of "passes", on held_items: what the critic has to beat."""
    def bags(items):
        return [torch.tensor([*set(source), *(vocab_size + w for w in set(program))])
                for source, program, *_ in items]

    def logits(rows):
        return model(torch.cat(rows), torch.tensor([0, *map(len, rows)]).cumsum(0)[:-1])  # where each begins

    generator = torch.Generator().manual_seed(0)
    model = torch.nn.EmbeddingBag(2 * vocab_size, len(Outcome), mode="sum")
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, u = bags(items), torch.tensor([item[3] for item in items])
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=generator).split(64):
            loss = F.cross_entropy(logits([x[i] for i in part]), u[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    u = torch.tensor([item[3] for item in held_items])
    p = logits(bags(held_items)).softmax(dim=1).detach()
    return {"accuracy": float((p.argmax(dim=1) == u).float().mean()),
            "auc": auc(p[:, Outcome.PASSED_TEST], u == Outcome.PASSED_TEST)}


@torch.no_grad()
def report(critic, items, tokenizer, batch_size, device):
    """What the critic says of programs that it never saw, as a dict of plain numbers."""
    critic.eval()
    items = sorted(items, key=lambda item: len(item[0]) + len(item[1]))
    predicted, u, prefix, token = [], [], [], []
    for i in range(0, len(items), batch_size):
        batch = critic_batch(items[i:i + batch_size], tokenizer, device)
        with autocast(device):
            p = prefix_predictions(critic, batch)                                       # (B, 1 + T, 4)
            v = None if critic.pooled else token_values(critic, batch)  # then they are the same
        u += batch["u"].tolist()
        lengths = batch["target_mask"].sum(dim=1)
        predicted += p[range(len(lengths)), lengths].argmax(dim=1).tolist()  # from the whole program
        quarters = torch.stack([(s * lengths / 4).long() for s in range(5)], dim=1)     # (B, 5)
        prefix += p[..., Outcome.PASSED_TEST].gather(1, quarters).tolist()
        if v is not None:
            token += v[..., Outcome.PASSED_TEST].gather(1, quarters).tolist()
    confusion = np.zeros((len(Outcome), len(Outcome)), dtype=int)
    np.add.at(confusion, (u, predicted), 1)
    passed = [x == Outcome.PASSED_TEST for x in u]
    majority = max(set(u), key=u.count)  # of these programs: the best that a constant can do
    share = lambda a, b: round(a / b, 4) if b else None  # noqa: E731
    f1 = [2 * confusion[o, o] / n for o in Outcome if (n := confusion[o].sum() + confusion[:, o].sum())]
    return {"programs": len(u), "accuracy": share(int(np.trace(confusion)), len(u)),
            "macro_f1": round(float(np.mean(f1)), 4),
            "majority_accuracy": share(u.count(majority), len(u)),
            "majority_class": Outcome(majority).label,
            "precision": {o.label: share(int(confusion[o, o]), int(confusion[:, o].sum()))
                          for o in Outcome},
            "recall": {o.label: share(int(confusion[o, o]), int(confusion[o].sum()))
                       for o in Outcome},
            "confusion": confusion.tolist(),
            "passed": float(np.mean(passed)),
            **{name: [{"share_read": s / 4, "mean_p_passed": float(p.mean()), "auc": auc(p, passed),
                       "calibration_error": calibration_error(p, passed)}
                      for s, p in enumerate(np.array(rows).T)]
               for name, rows in (("prefix", prefix), ("token", token)) if rows}}


def print_report(r):
    def text(value):
        return "-" if value is None else f"{value:.3f}"  # None: there was nothing to divide by

    print(f"\nheld-out problems, {r['programs']} programs: accuracy {r['accuracy']:.3f}, "
          f"macro-F1 {r['macro_f1']:.3f}, AUC {text(r['prefix'][-1]['auc'])}\n"
          f"  always {r['majority_class']}: accuracy {r['majority_accuracy']:.3f}\n"
          f"  logistic regression on the bag of tokens: accuracy {r['bag_of_tokens']['accuracy']:.3f}, "
          f"AUC {text(r['bag_of_tokens']['auc'])}")
    labels = [o.label for o in Outcome]
    print(f"{'':16}{'precision':>10}{'recall':>8}   "
          + "".join(f"{'said ' + label:>20}" for label in labels))
    for o, row in zip(labels, r["confusion"]):
        print(f"{o:16}{text(r['precision'][o]):>10}{text(r['recall'][o]):>8}   "
              + "".join(f"{n:20d}" for n in row))
    columns = {heading: r[name] for name, heading in (
        ("prefix", "predicted from all states so far"), ("token", "value of the last token")) if name in r}
    print(f"p(passed), of which {r['passed']:.3f} passed, after a share of the program has been read:\n"
          f"{'':8}" + "".join(f"{heading:>40}" for heading in columns) + "\n"
          f"{'read':>8}" + f"{'mean':>16}{'AUC':>8}{'calib. error':>16}" * len(columns))
    for rows in zip(*columns.values()):
        print(f"{rows[0]['share_read']:8.0%}" + "".join(
            f"{row['mean_p_passed']:16.3f}{text(row['auc']):>8}{row['calibration_error']:16.3f}"
            for row in rows))


P_PASSED = "p(passed) of the program up to it. Underlined: below 50."


def show_tokens(tokenizer, tokens, values, cut=None):
    """A program as HTML. Above each token stands its value, a probability, in percent; the lighter, the
    surer. What is below 1/2 is underlined; a bar marks the cut."""
    spans = []
    for t, (token, value) in enumerate(zip(tokens, values)):
        text = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        head, line_break, tail = text.partition("\n")
        shade, line = round(150 + 105 * value), "underline" if value < 0.5 else "none"
        spans.append(f"{'<b>&#9474;</b>' if t == cut else ''}<ruby style='background:rgb({shade},{shade},"
                     f"{shade});text-decoration:{line}'>{html.escape(head) or '&crarr;'}"
                     f"<rt>{100 * value:.0f}</rt></ruby>{line_break}{tail}")
    return f"<pre>{''.join(spans)}</pre>"


def write_page(path, title, legend, parts):
    """A page that needs nothing beside it: parts are (heading, HTML); legend: what its values are."""
    body = "".join(f"<h3>{html.escape(heading)}</h3>{part}" for heading, part in parts)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>body{{"
                   f"max-width:70em;margin:auto;font-family:sans-serif}}pre{{line-height:2.2}}rt{{"
                   f"font-size:60%}}</style><h2>{html.escape(title)}</h2><p>Above each token, in "
                   f"percent: {legend}</p>{body}")
    print(f"written: {path}")


def show(args):
    """--show: a page on the first programs by the critic in --init, q_hat token by token; phi_test's
    values are those that sample.py cuts by."""
    check_out(args.out, [args.problems, *args.programs])
    tokenizer, critic = load_critic(args.init, pick_device(args.device),
                                    positions=args.max_source + args.max_target)
    problems, parts = read_problems(args.problems), []
    programs = [p for p in read_judged(args.programs, problems) if p.outcome != JUDGE_ERROR][:args.show]
    check_tokens(args.programs, programs, args.init, tokenizer)
    shown = {program.key: problems[program.key] for program in programs}
    items = critic_items(shown, programs, tokenizer, args.max_source, args.max_target)
    for program, item in zip(programs, items):
        batch = critic_batch([item], tokenizer, critic.head.weight.device)
        values = (prefix_predictions(critic, batch)[:, 1:, Outcome.PASSED_TEST] if critic.binary
                  else q_hat(critic, batch))[0].tolist()
        parts.append((f"{program.problem_id}: {program.verdict}",
                      f"<p>{html.escape(problems[program.key].question)}</p>"
                      + show_tokens(tokenizer, item[1], values)))
    write_page(args.out, "What the critic thinks, token by token", P_PASSED if critic.binary else
               "q_hat, how strongly the critic, having read it, expects the outcome that came. Underlined: "
               "below 50.", parts)


# --- training loop --------------------------------------------------------------------------------

def train(args):
    problems = read_problems(args.problems)
    programs = read_judged(args.programs, problems)
    device, checkpoint = start_run(args)
    if checkpoint:
        tokenizer, critic = load_critic(checkpoint, device)
    else:
        tokenizer, model = load_model(args.init, device, args.max_source + args.max_target)
        critic = Critic(model, args.likelihood, args.binary, args.prefixes).to(device)
    if args.binary:  # phi_test: whatever did not pass, failed
        programs = [p if p.outcome in (Outcome.PASSED_TEST.label, JUDGE_ERROR)
                    else replace(p, outcome=Outcome.FAILED_TEST.label) for p in programs]
    check_tokens(args.programs, programs, args.init, tokenizer)
    items = critic_items(problems, programs, tokenizer, args.max_source, args.max_target)
    held = dict(zip(problems, split(len(problems), args.held_out)))
    train_items = [item for item in items if not held[item[2]]]
    # measured on judged programs only, which stand first: ground truths are always right
    judged = items[:sum(program.outcome != JUDGE_ERROR for program in programs)]
    held_items = [item for item in judged if held[item[2]]]
    if not train_items or not held_items:
        raise UserError(f"{' '.join(args.programs)}: too few programs; the critic needs some to "
                        f"learn from and, in the held-out share, some to be measured on")
    counts = np.bincount([item[3] for item in train_items], minlength=len(Outcome))
    weights = torch.tensor(len(train_items) / (len(Outcome) * np.maximum(counts, 1)),
                           dtype=torch.float32, device=device) ** args.class_weight
    if args.likelihood and not checkpoint:
        some = train_items[::math.ceil(len(train_items) / 128)]
        critic.believe_likelihood(critic_batch(some[i:i + 8], tokenizer, device)
                                  for i in range(0, len(some), 8))
    forward = distribute(critic, args)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=args.lr, weight_decay=args.weight_decay,
                                  fused=True)
    step, running = load_state(checkpoint, critic, optimizer, args)
    if not checkpoint:
        print(f"{len(train_items)} programs: "
              + ", ".join(f"{o.label} {n}" for o, n in zip(Outcome, counts)))
    coming, started = batches(lambda epoch: train_items, step, args), time.time()
    found = None
    while step < args.steps:
        step, (epoch, rows) = step + 1, next(coming)
        count = float(weights[[item[3] for item in rows]].sum()) / WORLD_SIZE
        critic.train()
        loss_critic = right = tokens = 0
        for part, weight in parts_of(rows, forward, args):
            batch = critic_batch(part, tokenizer, device)
            with autocast(device):
                logits = forward(batch, args.prefixes)
                loss = weight * critic_loss(logits, batch["u"], weights, count,
                                            batch["target_mask"] if args.prefixes else None)
            loss.backward()
            if args.prefixes:  # what it says of the whole programs
                logits = logits[range(len(logits)), batch["target_mask"].sum(dim=1)]
            loss_critic += loss.item() / WORLD_SIZE
            right += weight * int((logits.argmax(dim=1) == batch["u"]).sum())
            tokens += weight * int(batch["source_mask"].sum() + batch["target_mask"].sum())
        optimizer_step(critic, optimizer, step, args)
        loss_critic, right, tokens = add_up(loss_critic, right, tokens)
        running.update(loss=loss_critic, right=right, tokens=tokens, items=len(rows), steps=1)
        if step % args.log_every == 0 or step == args.steps:
            seconds, started = time.time() - started, time.time()
            log_metrics(args, step, f"{running['tokens'] / seconds:.0f} tokens/s",
                        loss_critic=running["loss"] / running["steps"],
                        accuracy=running["right"] / running["items"],
                        lr=learning_rate(step, args), epoch=epoch)
            running.clear()
        if step % args.save_every == 0 or step == args.steps:
            found = report(critic, held_items, tokenizer, args.batch_size, device)
            log_metrics(args, step, held_out_accuracy=found["accuracy"],
                        held_out_auc=found["prefix"][-1]["auc"])
            save_checkpoint(args, step, critic, tokenizer, optimizer, running)
    found = found or report(critic, held_items, tokenizer, args.batch_size, device)
    found["bag_of_tokens"] = bag_of_tokens(train_items, held_items, len(tokenizer))
    print_report(found)
    if RANK == 0:
        with open(os.path.join(args.out, "report.json"), "w") as file:
            json.dump(found, file, indent=1)
    print(f"done: {newest_checkpoint(args.out)}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    add_trainer_flags(p, need_programs=True)
    g = p.add_argument_group("the critic (Section 3.3.2)")
    g.add_argument("--binary", action="store_true", help="phi_test, the critic of sample.py: only "
                   "failed_test (whatever did not pass) against passed_test (Section 3.3.4)")
    g.add_argument("--show", type=whole(0), default=0, metavar="N", help="no training: write to --out an "
                   "HTML page on the first N programs, by the critic in --init")
    g.add_argument("--likelihood", action="store_true", help="show the head how likely the program is "
                   "to the critic's own language model, too; the paper's reads states alone")
    g.add_argument("--prefixes", action="store_true", help="learn the outcome from every prefix of a "
                   "program; the paper's learns from the whole alone")
    g.add_argument("--class-weight", type=number(0), default=0.5, help="power of the inverse class "
                   "frequency in the loss: 0 none, 1 all classes weigh the same")
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    show(args) if args.show else train(args)


if __name__ == "__main__":
    run_main(main)
