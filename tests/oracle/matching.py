"""The literal oracle: docs/matching.md in plain Python, a task against an offer at a time.

It reads mappings only, holds everything as int in dictionaries, and shares no code with the package. Slow, and meant to
be checked by eye. A wrong input raises ValueError, a few words on why.
"""

from fractions import Fraction
from math import floor

UNITS = 10_000
TASK_FIELDS = [
    "name",
    "resources",
    "priority",
    "labels",
    "tags",
    "prefer",
    "tenant",
    "group",
    "max_per",
    "avoid",
    "gang",
    "devices",
    "inputs",
]
OFFER_FIELDS = ["name", "resources", "labels", "only", "node", "devices", "price", "staged"]


# ---- amounts -------------------------------------------------------------------------------------------------------


def cut(value, task=False):
    """A number in units of 1/10,000."""
    f = float(value)
    if f != f or f < -1e-7 or f > 9.2e14:
        raise ValueError(f"amount {value!r}")
    if f <= 0:
        return 0
    if f == floor(f):
        return UNITS * int(f)
    q = f * 10000.0
    r = round(q)  # half to even
    units = r if abs(q - r) <= max(0.001, q * 2.0**-50) else floor(q)
    if task and f > 1e-7:
        units = max(units, 1)
    return units


def rint_price(value):
    f = float(value)
    if not 0 <= f <= 9.2e12:
        raise ValueError(f"price {value!r}")
    return int(f) * 1_000_000 if f == floor(f) else round(f * 1e6)


def rint_weight(value):
    f = float(value)
    if f != 0 and not 2.0**-16 <= f <= 16384:
        raise ValueError(f"weight {value!r}")
    return round(f * 65536)


# ---- reading -------------------------------------------------------------------------------------------------------


def present(mapping):
    return {key: value for key, value in mapping.items() if value is not None}


def dims_of(row, fields):
    if row.get("resources") is not None:
        return present(row["resources"])
    return {key: value for key, value in present(row).items() if key not in fields}


def text(value):
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    return str(int(value))


def labels_of(row, field):
    return {key: text(value) for key, value in present(row.get(field) or {}).items()}


class Task:
    def __init__(self, index, row):
        row = present(row)
        self.index = index
        self.name = row["name"]
        self.amounts = {dim: cut(value, task=True) for dim, value in dims_of(row, TASK_FIELDS).items()}
        self.devices = {kind: cut(value, task=True) for kind, value in present(row.get("devices", {})).items()}
        self.priority = int(row.get("priority", 0))
        self.labels = present(row.get("labels", {}))
        self.tags = labels_of(row, "tags")
        self.prefer = [(present(p["labels"]), rint_weight(p["weight"])) for p in row.get("prefer", [])]
        self.tenant = row.get("tenant", "")
        self.group = row.get("group")
        self.max_per = present(row.get("max_per", {}))
        self.avoid = set(row.get("avoid", []))
        self.gang = row.get("gang")
        self.inputs = present(row.get("inputs", {}))

    def asks(self):
        """All that is asked for, by dimension and kind."""
        return {**self.amounts, **self.devices}


class Offer:
    def __init__(self, index, row):
        row = present(row)
        self.index = index
        self.name = row["name"]
        self.amounts = {dim: cut(value) for dim, value in dims_of(row, OFFER_FIELDS).items()}
        self.devices = {
            kind: [min(cut(share), UNITS) for share in shares]
            for kind, shares in present(row.get("devices", {})).items()
        }
        self.labels = labels_of(row, "labels")
        self.only = present(row.get("only", {}))
        self.node = row.get("node", self.name)
        self.price = None if row.get("price") is None else rint_price(row["price"])
        self.staged = set(row.get("staged", []))
        self.placed = []  # the tasks of this call that it holds
        self.used = False

    def has(self, dim):
        """What is free of a dimension or kind."""
        return sum(self.devices[dim]) if dim in self.devices else self.amounts.get(dim, 0)


# ---- conditions ----------------------------------------------------------------------------------------------------


def holds(condition, value):
    """Whether a label (None: missing) meets a condition."""
    if not isinstance(condition, dict):
        condition = {"in": condition if isinstance(condition, (list, tuple)) else [condition]}
    for part, wanted in condition.items():
        if wanted is None:
            continue
        if part == "in" and (value is None or value not in [text(w) for w in wanted]):
            return False
        if part == "not_in" and value is not None and value in [text(w) for w in wanted]:
            return False
        if part == "exists" and (value is not None) != wanted:
            return False
        if part in ("min", "max"):
            digits = (value or "").lstrip("+-") if value and value[:1] in "+-" and value[1:2] not in "+-" else value
            if not digits or any(c not in "0123456789" for c in digits):
                return False
            number = int(value)
            if not -(2**63) <= number < 2**63:
                return False
            if number < wanted if part == "min" else number > wanted:
                return False
    return True


# ---- the matcher ---------------------------------------------------------------------------------------------------


class Oracle:
    def __init__(self, tasks, offers, *, mode="exclusive", policy="best_fit", ties="stable", normalize=True,
                 weights=None, scale=None, max_score=None, max_price=None, quotas=None, running=None,
                 locality_weight=1.0):  # fmt: skip
        self.tasks = [Task(i, row) for i, row in enumerate(tasks)]
        self.offers = [Offer(i, row) for i, row in enumerate(offers)]
        self.packing, self.policy, self.swap, self.normalize = (
            mode == "packing",
            policy,
            ties == "swap_remove",
            normalize,
        )
        self.kinds = sorted({kind for row in self.tasks + self.offers for kind in row.devices})
        dims = {dim for row in self.tasks + self.offers for dim in row.amounts}
        if dims & set(self.kinds):
            raise ValueError("a kind is an amount too")
        self.dims = sorted(dims) + self.kinds
        self.weights = {dim: rint_weight((weights or {}).get(dim, 1)) for dim in self.dims}
        self.largest = {dim: max((offer.has(dim) for offer in self.offers), default=0) for dim in self.dims}
        for dim, amount in (scale or {}).items():
            if dim in self.largest:
                if self.largest[dim] > cut(amount) << 24:
                    raise ValueError("an offer far above the scale")
                self.largest[dim] = cut(amount)
        self.one = 2**56 if policy in ("dot_product", "fragmentation") else 2**80 if normalize else 10_000 * 2**16
        self.max_score = None if max_score is None else floor(Fraction(max_score) * self.one) + self.one // 2**16
        self.max_price = None if max_price is None else rint_price(max_price)
        self.quotas = {
            tenant: {dim: cut(cap) for dim, cap in present(caps).items()} for tenant, caps in (quotas or {}).items()
        }
        self.running = [Running(row) for row in running or []]
        self.locality = rint_weight(locality_weight)
        self.free_list = list(self.offers)  # for swap_remove
        self.where, self.scores, self.given, self.order = {}, {}, {}, []

    # -- one task against one offer

    def fits_devices(self, task, offer, kind):
        asked, shares = task.devices[kind], offer.devices.get(kind, [])
        if asked <= UNITS:
            return asked == 0 or any(share >= asked for share in shares)
        if asked % UNITS:
            raise ValueError("a broken number of devices")
        return sum(share == UNITS for share in shares) >= asked // UNITS

    def others(self, task):
        """All that is placed, before or in this call: (tenant, group, groups avoided, node, labels)."""
        for entry in self.running:
            yield entry.tenant, entry.group, entry.avoid, entry.node, entry.labels
        for offer in self.offers:
            for other in offer.placed:
                yield other.tenant, other.group, other.avoid, offer.node, offer.labels

    def too_many(self, task, offer, domain, limit):
        if domain != "node" and domain not in offer.labels:
            return True
        count = 0
        for tenant, group, _, node, labels in self.others(task):
            if (tenant, group) == (task.tenant, task.group):
                if domain == "node":
                    count += node is not None and node == offer.node
                else:
                    count += labels.get(domain) == offer.labels[domain]
        return count >= limit

    def avoided(self, task, offer):
        for tenant, group, avoid, node, _ in self.others(task):
            if node is not None and node == offer.node and tenant == task.tenant:
                if group is not None and group in task.avoid:
                    return True
                if task.group is not None and task.group in avoid:
                    return True
        return False

    def reasons(self, task, offer):
        """Why the offer does not do, but for quotas."""
        found = []
        if offer.used:
            found.append("taken")
        found += [f"resource.{dim}" for dim, amount in task.amounts.items() if amount > offer.amounts.get(dim, 0)]
        found += [f"device.{kind}" for kind in task.devices if not self.fits_devices(task, offer, kind)]
        found += [f"label.{key}" for key, wanted in task.labels.items() if not holds(wanted, offer.labels.get(key))]
        found += [f"only.{key}" for key, wanted in offer.only.items() if not holds(wanted, task.tags.get(key))]
        found += [f"max_per.{domain}" for domain, n in task.max_per.items() if self.too_many(task, offer, domain, n)]
        if self.avoided(task, offer):
            found.append("avoid")
        if self.max_price is not None and offer.price > self.max_price:
            found.append("max_price")
        if not found and self.max_score is not None and self.score(task, offer) > self.max_score:
            found.append("max_score")
        return found

    def quota_short(self, task):
        caps = self.quotas.get(task.tenant, self.quotas.get("*", {}))
        for dim, asked in task.asks().items():
            if asked > 0 and dim in caps:
                held = sum(entry.asks().get(dim, 0) for entry in self.running if entry.tenant == task.tenant)
                for offer in self.offers:
                    held += sum(other.asks().get(dim, 0) for other in offer.placed if other.tenant == task.tenant)
                if asked > caps[dim] - held:
                    return True
        return False

    def score(self, task, offer):
        """The score, under cost its second part."""
        asks = task.asks()
        total = 0
        for dim in self.dims:
            largest, weight = self.largest[dim], self.weights[dim]
            if self.policy in ("dot_product", "fragmentation"):
                if largest:
                    t = min(asks.get(dim, 0), largest) * 2**20 // largest
                    o = min(offer.has(dim), largest) * 2**20 // largest
                    total -= weight * t * o
                continue
            if self.normalize:
                weight = weight * 2**64 // largest if largest else 0
            total += weight * (offer.has(dim) - asks.get(dim, 0))
        if self.policy == "worst_fit":
            total = -total
        if self.policy == "fragmentation":
            total += self.more_fragmentation(task, offer)
        for labels, weight in task.prefer:
            if not all(holds(wanted, offer.labels.get(key)) for key, wanted in labels.items()):
                total += weight * (self.one // 2**16)
        all_bytes = sum(task.inputs.values())
        if all_bytes:
            missing = sum(size for name, size in task.inputs.items() if name not in offer.staged)
            total += (int(missing) * self.locality // int(all_bytes)) * (self.one // 2**16)
        return total

    # -- fragmentation

    def shapes(self):
        """The commonest distinct demands that ask for a device, at most 64: [(a task that asks so, how many do)]."""
        found = {}
        for task in self.tasks:
            asked = {dim: amount for dim, amount in task.asks().items() if amount}
            if any(kind in asked for kind in self.kinds):
                first, count = found.get(frozenset(asked.items()), (task, 0))
                found[frozenset(asked.items())] = (first, count + 1)
        return sorted(found.values(), key=lambda shape: -shape[1])[:64]  # stable: the first seen first

    def unusable(self, shape, offer, kind):
        """Free units of the kind that the shape could not use on this offer."""
        shares = offer.devices.get(kind, [])
        if all(amount <= offer.amounts.get(dim, 0) for dim, amount in shape.amounts.items()) and all(
            self.fits_devices(shape, offer, each) for each in shape.devices
        ):
            return sum(share for share in shares if share < min(shape.devices[kind], UNITS))
        return sum(shares)

    def fragmentation(self, offer, kind):
        return sum(
            count * self.unusable(shape, offer, kind)
            for shape, count in self.shapes()
            if shape.devices.get(kind, 0) > 0
        )

    def more_fragmentation(self, task, offer):
        """What the task would add, as a part of the score."""
        counted = sum(count for _, count in self.shapes())
        before = {kind: self.fragmentation(offer, kind) for kind in self.kinds}
        amounts, devices = dict(offer.amounts), {kind: list(shares) for kind, shares in offer.devices.items()}
        for dim, asked in task.amounts.items():
            offer.amounts[dim] = offer.amounts.get(dim, 0) - asked
        for kind, asked in task.devices.items():
            if asked:
                for i in self.chosen(offer, kind, asked):
                    offer.devices[kind][i] -= min(asked, UNITS)
        total = 0
        for kind in self.kinds:
            if counted and self.largest[kind]:
                more = self.fragmentation(offer, kind) - before[kind]
                total += self.weights[kind] * (more * 2**40 // (counted * self.largest[kind]))
        offer.amounts, offer.devices = amounts, devices
        return total

    def whole_score(self, task, offer):
        if self.policy != "cost":
            return (self.score(task, offer),)
        return (0 if self.packing and offer.placed else offer.price, self.score(task, offer))

    # -- the loop

    def best(self, task):
        if self.quota_short(task):
            return None
        best = None
        for place, offer in enumerate(self.free_list if self.swap else self.offers):
            if self.reasons(task, offer):
                continue
            score = self.whole_score(task, offer)
            if best is None or score < best[0]:
                best = (score, place, offer)
        return best

    def put(self, task):
        """Places a task; answers how to undo it, None where it can't be placed."""
        best = self.best(task)
        if best is None:
            return None
        score, place, offer = best
        self.where[task.index] = offer
        self.scores[task.index] = score
        self.given[task.index] = {}
        before = ({kind: list(s) for kind, s in offer.devices.items()}, dict(offer.amounts), list(self.free_list))
        for kind, asked in task.devices.items():
            if asked:
                self.given[task.index][kind] = self.take(task, offer, kind, asked)
        offer.placed.append(task)
        if self.packing:
            for dim, asked in task.amounts.items():
                offer.amounts[dim] = offer.amounts.get(dim, 0) - asked
        else:
            offer.used = True
            if self.swap:
                self.free_list[place] = self.free_list[-1]
                self.free_list.pop()
        return lambda: self.undo(task, offer, before)

    def chosen(self, offer, kind, asked):
        """The devices that a request gets."""
        shares = offer.devices[kind]
        if asked > UNITS:
            return [i for i, share in enumerate(shares) if share == UNITS][: asked // UNITS]
        return [min((share, i) for i, share in enumerate(shares) if share >= asked)[1]]

    def take(self, task, offer, kind, asked):
        chosen = self.chosen(offer, kind, asked)
        if self.packing:
            for i in chosen:
                offer.devices[kind][i] -= min(asked, UNITS)
        return chosen

    def undo(self, task, offer, before):
        for held in (self.where, self.scores, self.given):
            del held[task.index]
        offer.placed.remove(task)
        offer.used = False
        offer.devices, offer.amounts, self.free_list = before

    def turns(self):
        """Lists of tasks to take together: a gang, or one task."""
        tasks = sorted(self.tasks, key=lambda task: -task.priority)  # stable
        done = set()
        for task in tasks:
            if task.gang is None:
                yield [task]
            elif (task.tenant, task.gang) not in done:
                done.add((task.tenant, task.gang))
                yield [t for t in tasks if (t.tenant, t.gang) == (task.tenant, task.gang)]

    def run(self, stop=None):
        """Places everything. With the number of a task that finds no place, ends at its turn and answers the task
        that is tried then: itself, or the one that keeps its gang out."""
        for together in self.turns():
            undo = []
            for task in together:
                if stop in [member.index for member in together] and self.best(task) is None:
                    return task
                undone = self.put(task)
                if undone is None:
                    for step in reversed(undo):
                        step()
                    break
                undo.append(undone)
            self.order += [task.index for task in together]
        return None

    # -- what is told

    def devices(self, index):
        return self.given.get(index)

    def explain(self, task):
        """`reasons` and `nearest` of a task at its turn."""
        failing = [self.reasons(task, offer) for offer in self.offers]
        quota = self.quota_short(task)
        reasons = {}
        for found in failing:
            for reason in found:
                entry = reasons.setdefault(reason, {"short": 0, "alone": 0})
                entry["short"] += 1
                entry["alone"] += len(found) == 1
        if quota and self.offers:
            reasons["quota"] = {"short": len(self.offers), "alone": sum(not found for found in failing)}
        nearest = None
        for offer, found in zip(self.offers, failing, strict=True):
            key = (len(found), self.missing(task, offer))
            if nearest is None or key < nearest[0]:
                nearest = (key, offer.name)
        return reasons, nearest[1] if nearest else None

    def missing(self, task, offer):
        total = 0
        for dim, asked in task.amounts.items():
            total += max(0, asked - offer.amounts.get(dim, 0)) * 2**20 // max(self.largest[dim], 1)
        for kind, asked in task.devices.items():
            if not self.fits_devices(task, offer, kind):
                shares = offer.devices.get(kind, [])
                had = sum(s == UNITS for s in shares) * UNITS if asked > UNITS else max(shares, default=0)
                total += (asked - had) * 2**20 // max(self.largest[kind], 1)
        return total


class Running:
    def __init__(self, row):
        row = present(row)
        self.node, self.tenant, self.group = row.get("node"), row.get("tenant", ""), row.get("group")
        self.avoid = set(row.get("avoid", []))
        self.labels = labels_of(row, "labels")
        self.amounts = {
            name: cut(value, task=True)
            for field in ("resources", "devices")
            for name, value in present(row.get(field, {})).items()
        }

    def asks(self):
        return self.amounts
