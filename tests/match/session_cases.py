"""Random lives of a session for differential tests: offers, options and a list of (operation, argument), by seed."""

import random

from . import cases

KINDS = ("ties", "zeros", "equal_shapes", "huge_amounts", "many_dimensions", "priorities", "packing", "max_score")


def life(seed, kind, constraint=None, size=6, length=9):
    """A life of a kind; names come again after they were removed or released."""
    r = random.Random(f"session:{kind}:{constraint}:{seed}")
    _, offers, options = drawn(r, kind, constraint, size)
    names = len(offers)
    tasks_seen, steps = 0, []
    for _ in range(length):
        step = r.choice(
            ("match", "match", "match", "release", "release", "add", "update", "update", "remove", "rescale")
        )
        tasks, more, _ = drawn(r, kind, constraint, size)
        if step == "match":
            for task in tasks:
                task["name"] = f"t{r.randrange(tasks_seen + 1)}" if r.random() < 0.05 else f"t{tasks_seen}"
                tasks_seen += 1
            steps.append((step, unlike(tasks)))
        elif step == "release":
            steps.append((step, [f"t{r.randrange(tasks_seen + 2)}" for _ in range(r.randint(0, 4))]))
        elif step == "add":
            for offer in more:
                offer["name"] = f"o{r.randrange(names + 1)}" if r.random() < 0.1 else f"o{names}"
                names += 1
            steps.append((step, unlike(more[: r.randint(0, 3)])))
        elif step == "update":
            chosen = r.sample(range(names), min(names, len(more), r.randint(0, 3)))
            steps.append((step, [{**offer, "name": f"o{n}"} for n, offer in zip(chosen, more, strict=False)]))
        elif step == "remove":
            steps.append((step, [f"o{r.randrange(names + 2)}" for _ in range(r.randint(0, 2))]))
        else:
            steps.append((step, None))
    return offers, options, steps


def unlike(rows):
    """The rows without a second one of a name."""
    return list({row["name"]: row for row in rows}.values())


def drawn(r, kind, constraint, size):
    """Tasks, offers and options of one draw; prices always, as a session wants them of each record."""
    tasks, offers, options = cases.case(r.randrange(10**9), kind, constraint, size)
    for offer in offers:
        offer.setdefault("price", r.choice((0, 1, 1.5, 0.1)))
    if options.get("ties") == "swap_remove" and r.random() < 0.95:
        del options["ties"]
    for name in ("running", "quotas"):
        if name in options and r.random() < 0.3:
            del options[name]
    return tasks, offers, options
