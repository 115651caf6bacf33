"""The literal oracle of sessions: every call is worked out anew from the records and from all that was placed.

As the matcher's oracle it reads mappings only, and shares no code with the package.
"""

from tests.oracle.matching import OFFER_FIELDS, UNITS, Offer, Oracle, cut, dims_of


class SessionOracle:
    def __init__(self, offers, **options):
        if options.get("ties", "stable") != "stable":
            raise ValueError("ties")
        self.options = options
        self.fixed = {dim: cut(amount) for dim, amount in (options.get("scale") or {}).items()}
        self.records = {}  # by name, in tie order
        self.held = {}  # {task name: [Task, offer name, {kind: device numbers}]}
        self.largest = {}
        self.version = 0
        self.add(offers)
        self.version = 0

    # -- offers

    def add(self, offers):
        if any(row["name"] in self.records for row in offers):
            raise ValueError("present")
        self.take(offers)

    def update(self, offers):
        if any(row["name"] not in self.records for row in offers):
            raise ValueError("unknown")
        self.take(offers)
        for row in offers:
            lengths = {kind: len(shares) for kind, shares in Offer(0, row).devices.items()}
            for _, where, given in self.held.values():
                if where == row["name"]:
                    for kind in given:
                        given[kind] = [i for i in given[kind] if i < lengths.get(kind, 0)]

    def take(self, offers):
        made = [Offer(i, row) for i, row in enumerate(offers)]
        names = {dim for row in offers for dim in dims_of(row, OFFER_FIELDS)} | {k for o in made for k in o.devices}
        largest = dict(self.largest)
        for dim in names:
            amounts = [offer.has(dim) for offer in made]
            if dim in self.fixed:
                if max(amounts) > self.fixed[dim] << 24:
                    raise ValueError("an offer far above the scale")
            elif not largest.get(dim):
                largest[dim] = max(amounts)
            else:
                for amount in amounts:
                    if amount > largest[dim] << 24:
                        largest[dim] = amount
        self.largest = largest
        self.records.update({row["name"]: row for row in offers})
        self.version += bool(offers)

    def remove(self, names):
        found = {name for name in names if name in self.records}
        for name in found:
            del self.records[name]
        self.held = {task: entry for task, entry in self.held.items() if entry[1] not in found}
        self.version += bool(found)
        return len(found)

    def rescale(self):
        offers = [Offer(0, row) for row in self.records.values()]
        dims = {dim for offer in offers for dim in [*offer.amounts, *offer.devices]}
        self.largest = {dim: max(offer.has(dim) for offer in offers) for dim in dims}
        self.version += 1

    # -- tasks

    def matcher(self, tasks):
        """An oracle of one call, with all that is held put in its place."""
        oracle = Oracle(tasks, list(self.records.values()), **self.options)
        for dim in oracle.dims:
            if dim not in self.fixed:
                oracle.largest[dim] = self.largest.get(dim, 0)
        offers = {offer.name: offer for offer in oracle.offers}
        for task, where, given in self.held.values():
            offer = offers[where]
            offer.placed.append(task)
            if oracle.packing:
                for dim, asked in task.amounts.items():
                    offer.amounts[dim] = offer.amounts.get(dim, 0) - asked
                for kind, numbers in given.items():
                    for i in numbers:
                        offer.devices[kind][i] -= min(task.devices[kind], UNITS)
            else:
                offer.used = True
        for offer in oracle.offers:
            offer.amounts = {dim: max(0, amount) for dim, amount in offer.amounts.items()}
            offer.devices = {kind: [max(0, share) for share in shares] for kind, shares in offer.devices.items()}
        return oracle

    def match(self, tasks):
        """The oracle of the call, run."""
        if any(row["name"] in self.held for row in tasks):
            raise ValueError("still placed")
        oracle = self.matcher(tasks)
        oracle.run()
        for index in oracle.order:
            if index in oracle.where:
                task = oracle.tasks[index]
                given = {kind: list(numbers) for kind, numbers in oracle.given[index].items()}
                self.held[task.name] = [task, oracle.where[index].name, given]
        self.version += bool(oracle.where)
        return oracle

    def release(self, names):
        found = {name for name in names if name in self.held}
        for name in found:
            del self.held[name]
        self.version += bool(found)
        return len(found)

    # -- what is told

    def free(self):
        """{offer name: (amounts above 0, shares by kind)} in units, in tie order."""
        found = {}
        for name, row in self.records.items():
            offer = Offer(0, row)
            for task, where, given in self.held.values():
                if where == name:
                    for dim, asked in task.amounts.items():
                        offer.amounts[dim] = offer.amounts.get(dim, 0) - asked
                    for kind, numbers in given.items():
                        for i in numbers:
                            offer.devices[kind][i] -= min(task.devices[kind], UNITS)
            amounts = {dim: amount for dim, amount in offer.amounts.items() if amount > 0}
            shares = {kind: [max(0, s) for s in own] for kind, own in offer.devices.items() if own}
            found[name] = amounts, shares
        return found
