"""Random calls of ten kinds for differential tests; a case is (tasks, offers, options) in plain mappings, by seed."""

import random

KINDS = (
    "ties",
    "zeros",
    "nothing_fits",
    "equal_shapes",
    "huge_amounts",
    "many_dimensions",
    "priorities",
    "packing",
    "swap_remove",
    "max_score",
)
CONSTRAINTS = ("labels", "tags", "prefer", "groups", "gangs", "devices", "quotas", "locality", "all")
POLICIES = ("best_fit", "worst_fit", "dot_product", "cost", "fragmentation")


def amount(r, kind):
    if kind == "ties":
        return r.choice((0, 1, 2, 2, 4))
    if kind == "zeros":
        return r.choice((0, 0, 0, 1, 0.0, -1e-8))
    if kind == "huge_amounts":
        return r.choice(
            (9.2e14, 9.1e14, 2**49 + 1, 1e-7, 1.0000001e-7, 2.5e-5, r.uniform(0, 9.2e14), 10.0 ** r.uniform(-8, 14))
        )
    if kind in ("packing", "max_score"):
        return r.choice((r.randint(0, 4), round(r.uniform(0, 4), 2), 1 / 3, 0.29, 0.1 + 0.2))
    return r.choice((r.randint(0, 8), r.uniform(0, 8), round(r.uniform(0, 8), r.randint(0, 5))))


def base_case(seed, kind, size):
    """A case of amounts, priorities, prices and options alone."""
    r = random.Random(f"{kind}:{seed}")
    dims = ["cpu", "mem", "gpu"][: r.randint(1, 3)]
    if kind == "many_dimensions":
        dims = [f"d{i}" for i in range(r.choice((5, 20, 60)))]
    shapes = [{dim: amount(r, kind) for dim in dims if r.random() < 0.9} for _ in range(r.randint(1, 3))]

    def row(prefix, index, grow):
        if kind == "equal_shapes":
            found = dict(r.choice(shapes))
        else:
            found = {dim: amount(r, kind) for dim in dims if r.random() < 0.9}
        if kind == "many_dimensions" and grow:
            found = {dim: found.get(dim, 0) + r.choice((4, 8)) for dim in dims}
        if kind == "nothing_fits" and grow:
            found = {dim: value / 100 for dim, value in found.items()}
        return {"name": f"{prefix}{index}", "resources": found}

    tasks = [row("t", i, False) for i in range(r.randint(0, size))]
    offers = [row("o", i, True) for i in range(r.randint(0, size))]
    if kind in ("priorities", "swap_remove") or r.random() < 0.2:
        for task in tasks:
            if r.random() < 0.8:
                task["priority"] = r.choice((0, 1, 1.0, -5, 2**31 - 1, -(2**31)))
    return r, tasks, offers, options(r, kind, dims, offers)


def options(r, kind, dims, offers):
    found = {"policy": r.choice(POLICIES), "mode": r.choice(("exclusive", "packing"))}
    if kind == "packing":
        found["mode"] = "packing"
    if kind == "swap_remove" or (r.random() < 0.2 and found["mode"] == "exclusive"):
        found.update(mode="exclusive", ties="swap_remove")
    if found["policy"] not in ("dot_product", "fragmentation") and r.random() < 0.3:
        found["normalize"] = False
    if r.random() < 0.3:
        found["weights"] = {
            dim: r.choice((0, 1, 2.5, 16384, 2**-16, 1 / 3)) for dim in [*dims, "absent"] if r.random() < 0.6
        }
    if r.random() < 0.2 and kind != "huge_amounts":
        found["scale"] = {dim: r.choice((1, 7.5, 1000, 0.01)) for dim in dims if r.random() < 0.6}
    if found["policy"] == "cost" or r.random() < 0.2:
        for offer in offers:
            offer["price"] = r.choice((0, 1, 1.5, 0.1, 1e-7, 3, r.uniform(0, 3)))
        if r.random() < 0.5:
            found["max_price"] = r.choice((0, 1, 1.5, 2))
    if found["policy"] != "cost" and (kind == "max_score" or r.random() < 0.1):
        found["max_score"] = r.choice((0, 0.5, 1, -0.5, -1, 2**46, -(2**46), r.uniform(-2, 2), 5000.25))
    return found


def condition(r, values):
    return r.choice(
        (
            r.choice(values),
            r.sample(values, r.randint(0, min(2, len(values)))),
            {"in": r.sample(values, 1)},
            {"not_in": r.sample(values, 1)},
            {"exists": r.random() < 0.5},
            {"min": r.randint(-1, 3)},
            {"max": r.randint(-1, 3), "not_in": [r.choice(values)]},
            {},
            {"in": None, "exists": True},
        )
    )


VALUES = ("a", "b", 1, 2, "+3", "007", True, "true", False, "x1", "", 2**63 - 1, "9" * 30, -4, 2.0)


def add_labels(r, tasks, offers, options):
    keys = ["zone", "node", "gen"]
    for offer in offers:
        if r.random() < 0.8:
            offer["labels"] = {key: r.choice(VALUES) for key in keys if r.random() < 0.7}
    for task in tasks:
        if r.random() < 0.6:
            task["labels"] = {key: condition(r, VALUES) for key in keys if r.random() < 0.4}


def add_tags(r, tasks, offers, options):
    for task in tasks:
        if r.random() < 0.6:
            task["tags"] = {key: r.choice(VALUES) for key in ("team", "zone") if r.random() < 0.7}
    for offer in offers:
        if r.random() < 0.5:
            offer["only"] = {key: condition(r, VALUES) for key in ("team", "zone") if r.random() < 0.5}


def add_prefer(r, tasks, offers, options):
    add_labels(r, [], offers, options)
    for task in tasks:
        if r.random() < 0.7:
            task["prefer"] = [
                {
                    "labels": {key: condition(r, VALUES) for key in ("zone", "gen") if r.random() < 0.6},
                    "weight": r.choice((0, 1, 2**-16, 16384, 0.3)),
                }
                for _ in range(r.randint(0, 3))
            ]


def add_groups(r, tasks, offers, options):
    for offer in offers:
        if r.random() < 0.6:
            offer["node"] = r.choice(("n1", "n2", 3, 3.0))
        if r.random() < 0.7:
            offer["labels"] = {"zone": r.choice(("a", "b", 1)), "node": r.choice(("x", "y"))}
    for task in tasks:
        if r.random() < 0.4:
            task["tenant"] = r.choice(("", "acme", "*"))
        if r.random() < 0.7:
            task["group"] = r.choice(("g", "h"))
            if r.random() < 0.6:
                task["max_per"] = {key: r.randint(1, 3) for key in ("node", "zone", "rack") if r.random() < 0.4}
        if r.random() < 0.4:
            task["avoid"] = r.sample(["g", "h", "k"], r.randint(0, 2))
    if r.random() < 0.5:
        options["running"] = [
            {
                "node": r.choice(("n1", "n2", 3, "o0", "elsewhere", None)),
                "tenant": r.choice(("", "acme", None)),
                "group": r.choice(("g", "h", None)),
                "avoid": r.sample(["g", "h"], r.randint(0, 1)),
                "resources": {"cpu": r.randint(0, 3)},
                "labels": {"zone": r.choice(("a", 1, "c"))},
            }
            for _ in range(r.randint(0, 4))
        ]


def add_gangs(r, tasks, offers, options):
    for task in tasks:
        task.pop("priority", None)
        if r.random() < 0.6:
            task["gang"] = r.choice(("x", "y", "z"))
            task["priority"] = {"x": 0, "y": 1, "z": 0}[task["gang"]]
            if r.random() < 0.2 and task["gang"] != "y":
                task["tenant"] = "acme"


def add_devices(r, tasks, offers, options):
    for offer in offers:
        if r.random() < 0.8:
            offer["devices"] = {
                kind: [r.choice((1, 1, 0.5, 0.25, 0, 1 + 1e-8, 1 / 3)) for _ in range(r.randint(0, 4))]
                for kind in ("card", "fpga")
                if r.random() < 0.8
            }
    for task in tasks:
        if r.random() < 0.8:
            task["devices"] = {
                kind: r.choice((0, 0.5, 1, 0.25, 2, 3, 1e-6, 1 / 3, 2.0))
                for kind in ("card", "fpga")
                if r.random() < 0.6
            }


def add_quotas(r, tasks, offers, options):
    for task in tasks:
        if r.random() < 0.7:
            task["tenant"] = r.choice(("", "acme", "zoo"))
    options["quotas"] = {
        tenant: {dim: r.choice((0, 3, 5.5, 20, None)) for dim in ("cpu", "mem", "card", "what") if r.random() < 0.6}
        for tenant in ("", "acme", "*")
        if r.random() < 0.6
    }
    if r.random() < 0.5:
        options["running"] = [
            {
                "tenant": r.choice(("", "acme", "zoo")),
                "resources": {"cpu": r.choice((1, 0.5, None))},
                "devices": {"card": 1},
            }
            for _ in range(r.randint(0, 3))
        ]


def add_locality(r, tasks, offers, options):
    files = {f"f{i}": r.choice((0, 1, 7, 2**40, 3.0)) for i in range(5)}
    for task in tasks:
        if r.random() < 0.7:
            task["inputs"] = {name: size for name, size in files.items() if r.random() < 0.5}
            if r.random() < 0.2:
                task["inputs"]["f0"] = 5
    for offer in offers:
        if r.random() < 0.7:
            staged = [name for name in [*files, "other"] if r.random() < 0.5]
            offer["staged"] = staged if r.random() < 0.5 else dict.fromkeys(staged)
    options["locality_weight"] = r.choice((1, 0, 0.25, 16384, 1.0))


ADD = {
    "labels": add_labels,
    "tags": add_tags,
    "prefer": add_prefer,
    "groups": add_groups,
    "gangs": add_gangs,
    "devices": add_devices,
    "quotas": add_quotas,
    "locality": add_locality,
}


def case(seed, kind, constraint=None, size=9):
    """One case: of a kind, and with a constraint or "all"."""
    r, tasks, offers, chosen = base_case(seed, kind, size)
    for name, add in ADD.items():
        if constraint == name or (constraint == "all" and r.random() < 0.5):
            add(r, tasks, offers, chosen)
    return tasks, offers, chosen


MODES = (("exclusive", "stable"), ("exclusive", "swap_remove"), ("packing", "stable"))


def combination(seed, mode, ties, policy, constraint, size=8):
    """A case of any kind, made to be of this mode, ties and policy; for a constraint, "all" or None."""
    tasks, offers, options = case(seed, KINDS[seed % len(KINDS)], constraint, size)
    options.update(mode=mode, ties=ties, policy=policy)
    if policy in ("dot_product", "fragmentation"):
        options.pop("normalize", None)
    if policy == "cost":
        options.pop("max_score", None)
        for number, offer in enumerate(offers):
            offer.setdefault("price", (0, 1, 1.5, 0.1)[(seed + number) % 4])
    return tasks, offers, options
