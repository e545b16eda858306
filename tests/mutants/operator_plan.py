"""Small lies in the operator's plan: its model of Kubernetes, or its stories, must notice each."""

from __future__ import annotations

from mutant import Mutant

OPERATOR_PLAN = (
    Mutant(
        "majority-not-asked",
        "quorate_operator/planning/update.py",
        "    if len(view.seats) > 1 and not view.spares(victim):",
        "    if False:",
        "a pod is evicted that the majority needs",
    ),
    Mutant(
        "one-fewer-spare",
        "quorate_operator/planning/view.py",
        "return self.caught_up(without=seat.number) >= self.required",
        "return self.caught_up(without=seat.number) >= self.required - 1",
        "a minority is left by our own hand",
    ),
    Mutant(
        "victim-counts",
        "quorate_operator/planning/view.py",
        "for seat in self.seats if seat.number != without)",
        "for seat in self.seats)",
        "the pod that goes counts for the majority that stays",
    ),
    Mutant(
        "who-is-away-does-not-matter",
        "quorate_operator/planning/update.py",
        "    diverged, away = _diverged(view, outdated), _away(view)\n",
        "    diverged, away = _diverged(view, outdated), None\n",
        "the next member goes while the one before is away",
    ),
    Mutant(
        "leader-not-last",
        "quorate_operator/planning/update.py",
        "    if victim is view.leader and len(view.seats) > 1:\n",
        "    if False:\n",
        "the leader is evicted without handing over",
    ),
    Mutant(
        "digests-not-compared",
        "quorate_operator/planning/update.py",
        "    if digests.compare(last.word, other.word, past) is Agreement.EQUAL:\n"
        "        return None\n",
        "    return None\n",
        "the next member gets new code before it was seen to answer as the old",
    ),
    Mutant(
        "difference-not-seen",
        "quorate_operator/planning/digests.py",
        "        return Agreement.DIFFERENT\n",
        "        return Agreement.EQUAL\n",
        "an update goes on with code that answers differently",
    ),
    Mutant(
        "dead-wait-for-a-majority",
        "quorate_operator/planning/update.py",
        "    dead = [seat for seat in outdated if seat.is_dead and view.is_ours(seat)]\n",
        "    dead: list[Seat] = []\n",
        "a cluster that lost its majority to a bad image does not heal when it is set back",
    ),
    Mutant(
        "silence-is-death",
        "quorate_operator/planning/view.py",
        "        return pod is not None and not (pod.scheduled and pod.running) and not "
        "self.speaks\n",
        "        return pod is not None and not self.speaks\n",
        "a member that was not heard for a moment is deleted as dead",
    ),
    Mutant(
        "stale-words-count",
        "quorate_operator/planning/view.py",
        "        if leader is None or word is None or not seat.speaks or seat.is_leaving:\n",
        "        if leader is None or word is None:\n",
        "what a member said before it fell silent counts as caught up",
    ),
    Mutant(
        "template-not-seen",
        "quorate_operator/planning/children.py",
        "    return isinstance(wanted, int) and isinstance(seen, int) and seen >= wanted\n",
        "    return True\n",
        "pods are replaced before their controller knows the new template",
    ),
    Mutant(
        "set-applied-beside-disruption",
        "quorate_operator/planning/children.py",
        "    current = not touched & _NEEDED_BY_PODS and _has_been_seen",
        "    current = _has_been_seen",
        "a pod goes in the plan that changes its template",
    ),
    Mutant(
        "founded-forgotten-by-claims",
        "quorate_operator/planning/identity.py",
        '    return of_set or any(c.founded and c.cluster_id in ("", cluster_id) for c '
        "in claims)\n",
        "    return of_set\n",
        "wiped status and wiped volumes are founded anew",
    ),
    Mutant(
        "founded-not-marked",
        "quorate_operator/planning/claims.py",
        "    if founded and not claim.founded:\n",
        "    if False:\n",
        "no volume remembers that its cluster was founded",
    ),
    Mutant(
        "founding-of-some",
        "quorate_operator/planning/founding.py",
        "not all(_is_ready(view, seat) for seat in view.seats)",
        "not any(_is_ready(view, seat) for seat in view.seats)",
        "a cluster is founded while a member has not said that it is blank",
    ),
    Mutant(
        "founding-again",
        "quorate_operator/planning/founding.py",
        "    if view.founded or not view.seats or",
        "    if not view.seats or",
        "blank members of a cluster that was founded are founded again",
    ),
    Mutant(
        "id-over-what-is-there",
        "quorate_operator/planning/identity.py",
        "    if observed.claims:\n        return _of_claims(observed, live)\n",
        "    if observed.claims and live is not None:\n        return _of_claims(observed, live)\n",
        "a new cluster id is chosen over volumes that were kept",
    ),
    Mutant(
        "replicas-not-compared",
        "quorate_operator/planning/identity.py",
        "    if spec is None or set(observed.claims) == set(range(spec.replicas)):\n",
        "    if True:\n",
        "a resource with other replicas takes volumes over",
    ),
    Mutant(
        "label-left-behind",
        "quorate_operator/planning/leader_label.py",
        "if seat != leader.number and pod.role and not pod.deleting",
        "if seat != leader.number and pod.role and pod.deleting",
        "two pods are labelled as leader",
    ),
    Mutant(
        "old-leader-believed",
        "quorate_operator/planning/view.py",
        "    return best if _term(best) >= max(named, default=-1) else None\n",
        "    return best\n",
        "a leader of an older term is taken for the leader",
    ),
    Mutant(
        "paused-is-applied",
        "quorate_operator/planning/plan.py",
        "identity.problem is not None or is_paused:\n",
        "identity.problem is not None:\n",
        "objects of a paused cluster are changed",
    ),
    Mutant(
        "lag-is-news",
        "quorate_operator/planning/status.py",
        "    return recorded if replace(status, members=members) == recorded else status\n",
        "    return status\n",
        "the status of a cluster that only works is written again and again",
    ),
    Mutant(
        "times-are-news",
        "quorate_operator/planning/conditions.py",
        "            old.last_transition if old is not None and is_same else now,\n",
        "            now,\n",
        "the status of an unchanged cluster is written every second",
    ),
    Mutant(
        "request-for-ever",
        "quorate_operator/planning/handover.py",
        "    if not text or (last is not None and last.request == text):\n",
        "    if not text:\n",
        "a hand-over that was done is done again",
    ),
    Mutant(
        "request-before-its-record",
        "quorate_operator/planning/handover.py",
        "    if begun is None or begun.target != text or _FROM.search(begun.step) is "
        "None:\n"
        "        return _begin(view, request, is_free=is_free)\n",
        "    if begun is None or begun.target != text or _FROM.search(begun.step) is "
        "None:\n"
        "        first = _begin(view, request, is_free=is_free)\n"
        "        if first.operation is None or first.result is not None:\n"
        "            return first\n"
        "        return _go_on(view, request, first.operation, is_free=is_free)\n",
        "an operator that ends in between hands over twice",
    ),
    Mutant(
        "agreement-forgotten",
        "quorate_operator/planning/update.py",
        "    if before is not None and before.step.endswith(digests.agreed(last)):\n",
        "    if False:\n",
        "under traffic an update goes back and forth between comparing and replacing",
    ),
    Mutant(
        "copies-under-pods",
        "quorate_operator/planning/children.py",
        "    named |= {name for pod in pods for name in pod.config_maps}\n",
        "",
        "configuration is deleted that a pod still names",
    ),
)
