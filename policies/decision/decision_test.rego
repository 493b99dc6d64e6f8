package fieldpact.decision_test

import data.fieldpact.company
import data.fieldpact.consortium
import data.fieldpact.decision
import data.fieldpact.shape_test.changed
import data.fieldpact.shape_test.planned

_result(changes) := result if result := decision.result with input as changed(changes)

_refused(codes, fields) := {
	"allow": false,
	"fields": set(),
	"predicate_fields": set(),
	"aggregate_fields": set(),
	"denials": codes,
	"denied_fields": fields,
	"obligations": set(),
}

test_an_allowed_call_releases_its_fields_and_duties if {
	decision.result == {
		"allow": true,
		"fields": {"acceptance_date", "project_stage"},
		"predicate_fields": {"annual_spend", "planned_spend"},
		"aggregate_fields": set(),
		"denials": set(),
		"denied_fields": set(),
		"obligations": {"personal.protect", "receipt.countersign"},
	} with input as data.question
}

test_an_allowed_call_for_proof_alone_releases_no_field if {
	result := _result({"/request/fields": []})
	result.allow
	result.fields == set()
	result.predicate_fields == {"annual_spend", "planned_spend"}
	result.obligations == {"receipt.countersign"}
}

test_what_is_proved_of_a_person_is_to_be_protected if {
	result := _result({"/request/fields": [], "/dataset/fields/annual_spend/personal": true})
	result.obligations == {"personal.protect", "receipt.countersign"}
}

test_only_personal_fields_ask_for_their_protection if {
	_result({"/request/fields": ["project_stage"]}).obligations == {"receipt.countersign"}
}

test_an_allowed_plan_releases_figures_alone if {
	decision.result == {
		"allow": true,
		"fields": set(),
		"predicate_fields": set(),
		"aggregate_fields": {"fault", "repair_cost"},
		"denials": set(),
		"denied_fields": set(),
		"obligations": {"receipt.countersign"},
	} with input as planned({})
}

test_one_field_that_is_not_granted_refuses_the_plan if {
	refused := _refused({"aggregate.not_granted"}, {"fault"})
	decision.result == refused with input as planned({"/request/plan/fields/0/granted": false})
}

test_a_plan_that_is_not_for_this_call_learns_nothing_of_fields if {
	every problem in [["signed", "plan.signature"], ["bound", "plan.mismatch"], ["current", "plan.expired"]] {
		late := {concat("/", ["/request/plan", problem[0]]): false, "/request/plan/fields/0/granted": false}
		decision.result == _refused({problem[1]}, set()) with input as planned(late)
	}
}

test_each_part_denies_alone if {
	_result({"/request/purpose": "marketing"}) == _refused({"purpose.mismatch"}, set())
	_result({"/company/denied_partners": [data.question.caller.did]}) == _refused({"partner.refused"}, set())
	_result({"/now": null}) == _refused({"request.malformed"}, set())
}

test_one_field_that_is_not_granted_refuses_the_call if {
	_result({"/request/fields": ["notes", "project_stage"]}) == _refused({"field.not_granted"}, {"notes"})
}

test_one_predicate_that_is_not_granted_refuses_the_call if {
	asked := {"fields": ["notes"], "operator": "one_of", "on_grid": true}
	refused := _refused({"predicate.not_granted"}, {"notes"})
	_result({"/request/predicates/-": asked}) == refused
}

test_the_company_never_widens if {
	_result({"/request/fields": ["notes"]}) == _refused({"field.not_granted"}, {"notes"})
		with company.cleared as consortium.required | company.required
}

test_a_caller_learns_one_tier_at_a_time if {
	_result({"/caller/problem": "token.expired", "/agreement": {}}).denials == {"token.expired"}
	stranger := {"/caller/did": "x", "/company/denied_partners": ["x"], "/agreement/status": "revoked"}
	_result(stranger).denials == {"agreement.not_party", "partner.refused"}
	_result({"/agreement": {}, "/dataset": {}}).denials == {"agreement.unknown"}
}

test_no_field_is_named_before_the_tier_of_fields if {
	asked := {"fields": ["notes"], "operator": "one_of", "on_grid": true}
	ungranted := {"/request/fields": ["notes"], "/request/predicates/-": asked}
	late := object.union(ungranted, {"/now": data.question.agreement.valid_to})
	_result(late) == _refused({"agreement.expired"}, set())
	_result(object.union(ungranted, {"/usage/nonce_seen": true})) == _refused({"nonce.replayed"}, set())
}

test_every_code_belongs_to_a_tier if {
	every code in consortium.required | company.required {
		decision.denials == {code} with input as data.question
			with consortium.unmet as {code}
			with consortium.allow as false
	}
}

test_a_malformed_question_is_denied_without_further_words if {
	every nothing in [{}, [], null, "", 0, false] {
		decision.result == _refused({"request.malformed"}, set()) with input as nothing
	}
}
