package fieldpact.consortium_test

import data.fieldpact.consortium
import data.fieldpact.shape_test.changed
import data.fieldpact.shape_test.planned

# The codes that stay uncleared when the pinned question is changed.
unmet(changes) := codes if codes := consortium.unmet with input as changed(changes)

test_the_pinned_question_is_allowed if {
	consortium.allow with input as data.question
	consortium.unmet == set() with input as data.question
}

test_nothing_allows_nothing if {
	every nothing in [{}, [], null, "", 0, false] {
		not consortium.allow with input as nothing
	}
}

test_every_member_is_needed if {
	every member in ["now", "caller", "request", "agreement", "dataset", "node", "usage"] {
		not consortium.allow with input as object.remove(data.question, {member})
	}
}

test_whatever_is_cleared_is_required if {
	consortium.cleared - consortium.required == set() with input as data.question
}

test_each_token_problem_denies_alone if {
	every code in consortium.token_problems {
		unmet({"/caller/problem": code}) == {code}
	}
}

test_an_unheard_of_token_problem_denies if {
	every problem in ["token.strange", "TOKEN.EXPIRED", " "] {
		unmet({"/caller/problem": problem}) == {"token.malformed"}
	}
}

test_nonce_replayed if {
	unmet({"/usage/nonce_seen": true}) == {"nonce.replayed"}
}

test_a_history_that_is_not_ours_denies if {
	every value in [false, null, "true", 1] {
		unmet({"/usage/stream/known": value}) == {"stream.diverged"}
		unmet({"/usage/stream/signed": value}) == {"countersignature.wrong"}
	}
}

test_agreement_not_party_when_somebody_else_calls if {
	unmet({"/caller/did": "did:web:stranger"}) == {"agreement.not_party"}
}

test_agreement_not_party_when_another_provider_answers if {
	unmet({"/node/did": "did:web:stranger"}) == {"agreement.not_party"}
}

test_agreement_not_party_when_nobody_calls if {
	unmet({"/caller/did": "", "/agreement/consumer": ""}) == {"agreement.not_party"}
}

test_agreement_unknown if {
	"agreement.unknown" in unmet({"/agreement": {}})
}

test_agreement_unknown_alone_when_another_is_named if {
	unmet({"/request/agreement": "urn:uuid:2"}) == {"agreement.unknown"}
}

test_agreement_suspended if {
	unmet({"/agreement/status": "suspended"}) == {"agreement.suspended"}
}

test_agreement_revoked if {
	unmet({"/agreement/status": "revoked"}) == {"agreement.revoked"}
}

test_an_unheard_of_status_denies if {
	unmet({"/agreement/status": "paused"}) == {"agreement.suspended", "agreement.revoked"}
}

test_agreement_not_yet_valid if {
	unmet({"/agreement/valid_from": data.question.now + 1}) == {"agreement.not_yet_valid"}
}

test_agreement_expired if {
	unmet({"/agreement/valid_to": data.question.now}) == {"agreement.expired"}
}

test_the_validity_holds_from_its_first_to_its_last_second if {
	now := data.question.now
	unmet({"/agreement/valid_from": now, "/agreement/valid_to": now + 1}) == set()
}

test_a_time_that_is_text_never_holds if {
	unmet({"/agreement/valid_to": "9999999999"}) == {"agreement.expired"}
	unmet({"/agreement/valid_from": "0"}) == {"agreement.not_yet_valid"}
	unmet({"/now": "1"}) == {"agreement.expired", "agreement.not_yet_valid"}
}

test_dataset_mismatch if {
	unmet({"/request/dataset": "others"}) == {"dataset.mismatch"}
	unmet({"/agreement/dataset": "others"}) == {"dataset.mismatch"}
	unmet({"/dataset/id": "others"}) == {"dataset.mismatch"}
}

test_purpose_mismatch if {
	unmet({"/request/purpose": "marketing"}) == {"purpose.mismatch"}
}

test_rate_exceeded if {
	unmet({"/usage/calls_this_hour": data.question.agreement.calls_per_hour}) == {"rate.exceeded"}
}

test_the_last_call_of_the_hour_is_allowed if {
	unmet({"/usage/calls_this_hour": data.question.agreement.calls_per_hour - 1}) == set()
}

test_rows_exceeded if {
	unmet({"/request/customers": data.question.agreement.rows_per_call + 1}) == {"rows.exceeded"}
}

test_as_many_rows_as_agreed_are_allowed if {
	unmet({"/request/customers": data.question.agreement.rows_per_call}) == set()
}

test_a_limit_that_is_text_never_holds if {
	unmet({"/agreement/calls_per_hour": "1000000"}) == {"rate.exceeded"}
	unmet({"/agreement/rows_per_call": "1000000"}) == {"rows.exceeded"}
}

test_request_malformed_when_it_asks_nothing if {
	unmet({"/request/fields": [], "/request/predicates": []}) == {"request.malformed"}
}

test_a_request_may_ask_for_fields_or_for_proof_alone if {
	unmet({"/request/fields": []}) == set()
	unmet({"/request/predicates": []}) == set()
}

test_request_malformed_when_a_predicate_has_no_fields if {
	every value in [null, "", 1, {}, {"a": {}}] {
		unmet({"/request/predicates": value}) == {"request.malformed"}
	}
	every value in [null, "annual_spend", 1, {}, {"a": "annual_spend"}, []] {
		"request.malformed" in unmet({"/request/predicates/0/fields": value})
	}
}

test_request_malformed_when_it_asks_about_nobody if {
	unmet({"/request/customers": 0}) == {"request.malformed"}
}

test_a_call_releases_what_it_asks if {
	consortium.releasable == {"acceptance_date", "project_stage"} with input as data.question
	consortium.denied_fields == set() with input as data.question
}

test_personal_fields_are_named if {
	consortium.personal == {"acceptance_date"} with input as data.question
}

test_field_not_granted_by_the_agreement if {
	_denied("notes", "field.not_granted")
}

test_field_not_granted_when_the_dataset_lacks_it if {
	others := object.remove(data.question.dataset.fields, {"project_stage"})
	unmet({"/dataset/fields": others}) == {"field.not_granted"}
}

test_field_mode_when_agreed_as_predicate if {
	_denied("contact_phone", "field.mode")
}

test_field_mode_when_the_dataset_lacks_the_mode if {
	_denied("region", "field.mode")
}

test_field_mode_never_is_never if {
	unmet({"/agreement/fields/project_stage": "never"}) == {"field.mode"}
}

test_field_grade_important_is_not_shown_in_plain if {
	_denied("budget", "field.grade")
}

test_field_grade_core_is_never_shown if {
	_denied("secret", "field.grade")
}

test_an_unheard_of_grade_denies if {
	unmet({"/dataset/fields/project_stage/grade": "public"}) == {"field.grade"}
}

test_a_call_has_proved_what_it_asks if {
	consortium.provable == {"annual_spend", "planned_spend"} with input as data.question
}

test_predicate_not_granted_by_the_agreement if {
	_unproved("notes", "at_least", "predicate.not_granted")
	_unproved("gone", "at_least", "predicate.not_granted")
}

test_predicate_not_granted_of_a_field_in_another_mode if {
	_unproved("project_stage", "one_of", "predicate.not_granted")
	every mode in ["plain", "aggregate", "never"] {
		changes := {"/agreement/fields/annual_spend": mode}
		unmet(changes) == {"predicate.not_granted"}
		consortium.denied_fields == {"annual_spend"} with input as changed(changes)
	}
}

test_predicate_not_granted_when_the_dataset_lacks_the_mode if {
	_unproved("headcount", "between", "predicate.not_granted")
}

test_predicate_not_granted_without_operators if {
	_unproved("contact_phone", "one_of", "predicate.not_granted")
	unmet({"/agreement/predicates": {}}) == {"predicate.not_granted"}
}

test_predicate_not_granted_for_another_operator if {
	_unproved("annual_spend", "one_of", "predicate.not_granted")
	_unproved("annual_spend", null, "predicate.not_granted")
}

test_predicate_not_granted_to_a_relation_that_one_side_lacks if {
	names := ["annual_spend", "planned_spend"]
	asked := {"fields": names, "operator": "sum_at_least", "on_grid": true}
	changes := {"/request/predicates/0": asked}
	unmet(changes) == {"predicate.not_granted"}
	consortium.denied_fields == {"annual_spend"} with input as changed(changes)
}

test_a_field_is_not_both_shown_and_hidden if {
	_denied("annual_spend", "field.mode")
}

test_field_grade_core_is_never_proved if {
	changes := {"/dataset/fields/annual_spend/grade": "core"}
	unmet(changes) == {"field.grade"}
	consortium.denied_fields == {"annual_spend"} with input as changed(changes)
}

test_predicate_granularity if {
	_off_grid({"/request/predicates/0/on_grid": false}, {"annual_spend"})
	_off_grid({"/request/predicates/1/on_grid": false}, {"annual_spend", "planned_spend"})
}

test_predicate_granularity_unless_it_is_said_that_it_is_kept if {
	every value in [null, "true", 1, [], {}] {
		unmet({"/request/predicates/0/on_grid": value}) == {"predicate.granularity"}
	}
}

test_granularity_is_not_asked_of_what_is_not_granted if {
	asked := {"fields": ["annual_spend", "notes"], "operator": "no_more_than", "on_grid": false}
	changes := {"/request/predicates/0": asked}
	unmet(changes) == {"predicate.not_granted"}
	consortium.denied_fields == {"notes"} with input as changed(changes)
}

test_predicate_exhausted if {
	changes := {"/usage/probes/annual_spend": 9}
	unmet(changes) == {"predicate.exhausted"}
	consortium.denied_fields == {"annual_spend"} with input as changed(changes)
}

test_as_many_conditions_as_agreed_are_allowed if {
	unmet({"/usage/probes/annual_spend": 8}) == set()
}

test_predicate_exhausted_when_nobody_counted if {
	unmet({"/usage/probes": {"annual_spend": 1}}) == {"predicate.exhausted"}
}

test_a_count_that_is_no_number_never_holds if {
	every value in ["1", null, true, false, [], {}] {
		unmet({"/usage/probes/annual_spend": value}) == {"predicate.exhausted"}
		unmet({"/agreement/predicates/annual_spend/probes": value}) == {"predicate.exhausted"}
	}
}

test_everything_that_is_wrong_with_predicates_is_said if {
	changes := {
		"/request/predicates/0/on_grid": false,
		"/request/predicates/-": {"fields": ["notes"], "operator": "equal", "on_grid": true},
		"/usage/probes/planned_spend": 4,
	}
	unmet(changes) == {"predicate.not_granted", "predicate.granularity", "predicate.exhausted"}
	denied := {"annual_spend", "notes", "planned_spend"}
	consortium.denied_fields == denied with input as changed(changes)
}

test_personal_fields_are_named_although_they_stay_hidden if {
	changes := {"/dataset/fields/planned_spend/personal": true}
	consortium.personal == {"acceptance_date", "planned_spend"} with input as changed(changes)
}

_unproved(name, operator, code) if {
	asked := {"fields": [name], "operator": operator, "on_grid": true}
	changes := {"/request/predicates/0": asked}
	unmet(changes) == {code}
	consortium.denied_fields == {name} with input as changed(changes)
}

_off_grid(changes, names) if {
	unmet(changes) == {"predicate.granularity"}
	consortium.denied_fields == names with input as changed(changes)
}

_denied(name, code) if {
	fields := ["project_stage", name]
	unmet({"/request/fields": fields}) == {code}
	consortium.denied_fields == {name} with input as changed({"/request/fields": fields})
}

# The codes that stay uncleared when the pinned step of a plan is changed.
_unmet_plan(changes) := codes if codes := consortium.unmet with input as planned(changes)

_denied_plan(changes) := names if names := consortium.denied_fields with input as planned(changes)

test_the_pinned_step_is_allowed if {
	consortium.allow with input as planned({})
	consortium.unmet == set() with input as planned({})
	consortium.countable == {"fault", "repair_cost"} with input as planned({})
	consortium.denied_fields == set() with input as planned({})
}

test_a_query_is_clear_of_what_can_be_wrong_with_plans if {
	consortium.plan_problems - consortium.cleared == set() with input as data.question
}

test_a_question_that_tells_of_no_plan_is_not_allowed if {
	question := json.patch(data.question, [{"op": "remove", "path": "/request/plan"}])
	not consortium.allow with input as question
	consortium.plan_problems & consortium.cleared == {"plans.exceeded"} with input as question
}

test_a_plan_must_be_signed_bound_current_and_well_formed if {
	every value in [false, null, "true", 1] {
		_unmet_plan({"/request/plan/signed": value}) == {"plan.signature"}
		_unmet_plan({"/request/plan/bound": value}) == {"plan.mismatch"}
		_unmet_plan({"/request/plan/current": value}) == {"plan.expired"}
		_unmet_plan({"/request/plan/well_formed": value}) == {"plan.malformed"}
	}
}

test_a_step_asks_for_nothing_beside_its_plan if {
	predicates := data.question.request.predicates
	"request.malformed" in _unmet_plan({"/request/fields": ["project_stage"]})
	"request.malformed" in _unmet_plan({"/request/predicates": predicates})
	_unmet_plan({"/request/customers": 1}) == {"request.malformed"}
}

test_aggregate_not_granted if {
	every value in [false, null, "true", 1] {
		changes := {"/request/plan/fields/1/granted": value}
		_unmet_plan(changes) == {"aggregate.not_granted"}
		_denied_plan(changes) == {"repair_cost"}
	}
	every mode in ["plain", "predicate", "never", null] {
		_unmet_plan({"/agreement/fields/fault": mode}) == {"aggregate.not_granted"}
	}
	_unmet_plan({"/dataset/fields/fault/modes": ["plain"]}) == {"aggregate.not_granted"}
}

test_a_count_of_no_field_needs_that_something_may_be_counted if {
	nothing := {"/request/plan/fields": [], "/agreement/allowance/counts": false}
	_unmet_plan({"/request/plan/fields": []}) == set()
	_unmet_plan(nothing) == {"aggregate.not_granted"}
	_unmet_plan(object.union(nothing, {"/request/plan/matching": "count"})) == set()
}

test_aggregate_bound if {
	every value in [false, null, "true", 1] {
		changes := {"/request/plan/fields/1/in_bound": value}
		_unmet_plan(changes) == {"aggregate.bound"}
		_denied_plan(changes) == {"repair_cost"}
	}
}

test_the_floor_holds_for_figures if {
	_unmet_plan({"/dataset/fields/fault/grade": "important"}) == set()
	_unmet_plan({"/dataset/fields/fault/grade": "core"}) == {"field.grade"}
}

test_who_may_have_the_list_may_have_its_length if {
	allowed := {[asked, agreed] |
		some asked in ["none", "count", "list", "all"]
		some agreed in ["none", "count", "list", "all"]
		_unmet_plan({"/request/plan/matching": asked, "/agreement/allowance/matching": agreed}) == set()
	}
	allowed == {
		["none", "none"], ["none", "count"], ["none", "list"], ["none", "all"],
		["count", "count"], ["count", "list"], ["list", "list"],
	}
}

test_matching_size if {
	matching := {"/request/plan/matching": "count", "/request/plan/size": 129}
	_unmet_plan(matching) == {"matching.size"}
	_unmet_plan(object.union(matching, {"/agreement/allowance/match_size": 129})) == set()
	_unmet_plan(object.union(matching, {"/agreement/allowance/match_size": "129"})) == {"matching.size"}
}

test_cohort_minimum if {
	_unmet_plan({"/request/plan/k_min": 9}) == {"cohort.minimum"}
	_unmet_plan({"/agreement/allowance/k_min": 11}) == {"cohort.minimum"}
	_unmet_plan({"/agreement/allowance/k_min": null}) == {"cohort.minimum"}
}

test_parties_too_few if {
	enough := {"heat-map": 1, "intersection": 1, "joint-sum": 1, "ring-count": 2, "federated-sum": 3}
	every kind, least in enough {
		_unmet_plan({"/request/plan/kind": kind, "/request/plan/parties": least}) == set()
		_unmet_plan({"/request/plan/kind": kind, "/request/plan/parties": least - 1}) == {"parties.too_few"}
	}
	_unmet_plan({"/request/plan/kind": "mean"}) == {"parties.too_few"}
}

test_plans_exceeded if {
	_unmet_plan({"/usage/plans_today": 4}) == {"plans.exceeded"}
	_unmet_plan({"/agreement/allowance/plans_per_day": "9"}) == {"plans.exceeded"}
}

test_budget_exhausted if {
	_unmet_plan({"/usage/budget_left": 500000}) == set()
	_unmet_plan({"/usage/budget_left": 499999}) == {"budget.exhausted"}
	_unmet_plan({"/agreement/allowance/epsilon_micro": 499999}) == {"budget.exhausted"}
	every value in [null, "600000", {}, []] {
		_unmet_plan({"/usage/budget_left": value}) == {"budget.exhausted"}
	}
}

test_without_an_allowance_nothing_is_counted if {
	"aggregate.not_granted" in _unmet_plan({"/agreement/allowance": {}})
	not consortium.allow with input as planned({"/agreement/allowance": {}})
}

test_whatever_is_cleared_of_a_plan_is_required if {
	consortium.cleared - consortium.required == set() with input as planned({})
}
