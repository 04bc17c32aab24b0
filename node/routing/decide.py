"""Series of a study + rules → one ``Decision`` for each series.

Built-in exclusions come first, then the rules in order (the first that matches counts), then the choice of the best
series; each of the others says which one is better. Series of a rule with ``every_series`` are all measured. A series
that matches but is incomplete or irregular is refused only when the study has no suitable one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from node.config import Config, Rule
from node.domain.decision import Decision, RuleVerdict
from node.domain.instance import Series
from node.domain.phantom import PhantomModel
from node.errors import StudyRefused
from node.routing.choose import Candidate, advantage, best
from node.routing.exclude import excluded
from node.routing.facts import Facts, facts_of
from node.routing.match import met, verdict

Geometry = Mapping[str, StudyRefused | None]
"""By Series Instance UID: why its slices form no regular stack; ``None`` or absent when they do."""


def decide(series: Sequence[Series], rules: Sequence[Rule], geometry: Geometry) -> tuple[Decision, ...]:
    """One decision for each series, in the order given; the choice is made within each study."""
    by_study: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(series):
        by_study[one.study_instance_uid].append(index)
    decisions: dict[int, Decision] = {}
    for indices in by_study.values():
        decisions |= dict(zip(indices, _decide_study([series[i] for i in indices], rules, geometry), strict=True))
    return tuple(decisions[index] for index in range(len(series)))


def phantoms_for(series: Series, rule: Rule, config: Config) -> tuple[PhantomModel, ...]:
    """Phantoms that may lie under the patient: the rule's, else the first fitting scanner's, else the default."""
    ids = rule.phantoms
    if not ids:
        facts = facts_of(series)
        scanner = next((one for one in config.scanners if met(one.when, facts)[0]), None)
        ids = scanner.phantoms if scanner else config.default_phantoms
    return tuple(config.phantoms[name] for name in ids if config.phantoms[name].kind != "qa")


def _decide_study(series: Sequence[Series], rules: Sequence[Rule], geometry: Geometry) -> list[Decision]:
    facts = [facts_of(one) for one in series]
    settled: list[Decision | None] = [_excluded(one, fact, rules) for one, fact in zip(series, facts, strict=True)]
    verdicts: list[tuple[RuleVerdict, ...]] = [tuple(verdict(rule, fact) for rule in rules) for fact in facts]
    candidates: dict[int, Candidate] = {}
    for index, fact in enumerate(facts):
        if settled[index] is None:
            rule = next((r for r, v in zip(rules, verdicts[index], strict=True) if v.matched), None)
            if rule is None:
                settled[index] = _no_rule(fact, verdicts[index])
            else:
                candidates[index] = Candidate(fact, rule)
    settled_candidates = _choose(candidates, verdicts, geometry)
    return [settled_candidates[i] if decision is None else decision for i, decision in enumerate(settled)]


def _choose(
    candidates: Mapping[int, Candidate], verdicts: Sequence[tuple[RuleVerdict, ...]], geometry: Geometry
) -> dict[int, Decision]:
    if not candidates:
        return {}
    refusals = {i: geometry.get(candidate.facts.series_instance_uid) for i, candidate in candidates.items()}
    rivals = {i: candidate for i, candidate in candidates.items() if not candidate.rule.every_series}
    suitable = [candidate for i, candidate in rivals.items() if refusals[i] is None]
    winner = best(suitable or list(rivals.values())) if rivals else None
    decisions = {}
    for index, candidate in candidates.items():
        refusal = refusals[index]
        if winner is None or candidate is winner or candidate.rule.every_series:
            decisions[index] = _won(candidate, refusal, verdicts[index])
        else:
            decisions[index] = _lost(candidate, winner, refusal, verdicts[index])
    return decisions


def _won(candidate: Candidate, refusal: StudyRefused | None, verdicts: tuple[RuleVerdict, ...]) -> Decision:
    uid, rule = candidate.facts.series_instance_uid, candidate.rule.name
    if refusal is not None:
        return Decision(uid, "refuse", rule, refusal.reason, refusal.message, verdicts)
    return Decision(
        uid, "measure", rule, "selected", f'Selected by rule "{rule}": {_qualities(candidate.facts)}.', verdicts
    )


def _lost(
    candidate: Candidate, winner: Candidate, refusal: StudyRefused | None, verdicts: tuple[RuleVerdict, ...]
) -> Decision:
    if refusal is not None:
        message = f"{refusal.message} {_capital(winner.facts.label)} stands for the study instead."
        return Decision(candidate.facts.series_instance_uid, "ignore", None, refusal.reason, message, verdicts)
    message = f"{_capital(winner.facts.label)} is better: {advantage(winner, candidate)}."
    return Decision(candidate.facts.series_instance_uid, "ignore", None, "better-series", message, verdicts)


def _excluded(series: Series, facts: Facts, rules: Sequence[Rule]) -> Decision | None:
    answer = excluded(series, facts, rules)
    return Decision(series.series_instance_uid, "ignore", None, *answer, ()) if answer else None


def _no_rule(facts: Facts, verdicts: tuple[RuleVerdict, ...]) -> Decision:
    why = " ".join(f'Rule "{one.rule}": {one.why}' for one in verdicts) or "There are no rules."
    return Decision(facts.series_instance_uid, "ignore", None, "no-rule-matched", why, verdicts)


def _qualities(facts: Facts) -> str:
    parts = [f"{facts.number('slices') or 0:g} slices"]
    for name, pattern in (
        ("slice_thickness_mm", "{:g} mm thick"),
        ("slice_spacing_mm", "{:g} mm apart"),
        ("coverage_mm", "{:g} mm long"),
        ("field_of_view_mm", "field of {:g} mm"),
    ):
        value = facts.number(name)
        if value is not None:
            parts.append(pattern.format(value))
    kernel = facts.text("convolution_kernel")
    return ", ".join([*parts, f"kernel {kernel} ({facts.text('kernel_class')})" if kernel else "kernel not stated"])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
