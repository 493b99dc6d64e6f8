package fieldpact.shape_test

import data.fieldpact.shape

# The pinned question, which every policy allows, with members set by JSON pointer.
# (After `with input as data.question with input.x as 1`, OPA 1.20.2 shows that
# change to later expressions of the same rule too.)
changed(changes) := json.patch(data.question, [{"op": "add", "path": path, "value": value} |
	some path, value in changes
])

# A step of a plan that every policy allows, with members set likewise.
planned(changes) := json.patch(changed(_step), [{"op": "add", "path": path, "value": value} |
	some path, value in changes
])

_step := {
	"/request/fields": [],
	"/request/predicates": [],
	"/request/customers": 0,
	"/request/plan": {
		"kind": "heat-map", "mode": "C", "step": "cells",
		"fields": [
			{"field": "fault", "use": "group", "granted": true, "in_bound": true},
			{"field": "repair_cost", "use": "sum", "granted": true, "in_bound": true},
		],
		"well_formed": true, "epsilon_micro": 500000, "k_min": 10, "cells": 24,
		"parties": 1, "matching": "none", "size": 0,
		"signed": true, "current": true, "bound": true,
	},
}

test_the_step_of_a_plan_is_well_formed if shape.valid with input as planned({})

test_every_member_of_a_plan_must_be_there if {
	every name, _ in _step["/request/plan"] {
		patch := [{"op": "remove", "path": concat("/", ["/request/plan", name])}]
		not shape.valid with input as json.patch(planned({}), patch)
	}
}

test_every_member_of_a_use_must_be_there if {
	every name in ["field", "use", "granted", "in_bound"] {
		patch := [{"op": "remove", "path": concat("/", ["/request/plan/fields/0", name])}]
		not shape.valid with input as json.patch(planned({}), patch)
	}
}

test_no_other_value_is_a_plan if {
	every value in [false, true, "", 0, [], {}, [{}]] {
		not shape.valid with input as planned({"/request/plan": value})
	}
}

test_a_plan_is_of_a_kind_and_a_use_is_one_of_three if {
	every value in [null, "", "mean", 1, [], {}] {
		not shape.valid with input as planned({"/request/plan/kind": value})
		not shape.valid with input as planned({"/request/plan/matching": value})
		not shape.valid with input as planned({"/request/plan/fields/0/use": value})
	}
}

test_every_member_of_an_allowance_must_be_there if {
	every name, _ in data.question.agreement.allowance {
		patch := [{"op": "remove", "path": concat("/", ["/agreement/allowance", name])}]
		not shape.valid with input as json.patch(data.question, patch)
	}
}

test_no_allowance_is_well_formed_and_no_other_value_is if {
	shape.valid with input as changed({"/agreement/allowance": {}})
	every value in [null, "", 1, [], {"counts": true}] {
		not shape.valid with input as changed({"/agreement/allowance": value})
	}
}

test_the_pinned_question_is_well_formed if shape.valid with input as data.question

test_an_unknown_agreement_and_dataset_are_well_formed if {
	shape.valid with input as changed({"/agreement": {}, "/dataset": {}})
}

test_every_member_must_be_there if {
	every member, _ in data.question {
		not shape.valid with input as object.remove(data.question, {member})
	}
}

test_every_member_of_every_member_must_be_there if {
	every member in ["caller", "request", "agreement", "dataset", "node", "usage", "company"] {
		every name, _ in data.question[member] {
			path := sprintf("/%s/%s", [member, name])
			patch := [{"op": "remove", "path": path}]
			not shape.valid with input as json.patch(data.question, patch)
		}
	}
}

test_a_number_is_whole_and_bounded if {
	every value in ["1", null, true, -1, 0.5, 9007199254740992, 1e300, [], {}] {
		not shape.valid with input as changed({"/agreement/valid_to": value})
	}
}

test_text_is_text if {
	every value in [null, true, 1, [], {}] {
		not shape.valid with input as changed({"/request/purpose": value})
	}
}

test_a_list_is_a_list_of_text if {
	every value in [null, "", "project_stage", {}, {"a": "b"}, [1], ["a", null]] {
		not shape.valid with input as changed({"/request/fields": value})
	}
}

test_predicates_are_a_list_of_them if {
	every value in [null, "", 1, {}, [1], ["annual_spend"], [null], [[]]] {
		not shape.valid with input as changed({"/request/predicates": value})
	}
	shape.valid with input as changed({"/request/predicates": []})
}

test_every_member_of_a_predicate_must_be_there if {
	every name in ["fields", "operator", "on_grid"] {
		patch := [{"op": "remove", "path": concat("/", ["/request/predicates/0", name])}]
		not shape.valid with input as json.patch(data.question, patch)
	}
}

test_the_fields_of_a_predicate_are_text if {
	every value in [null, "annual_spend", {}, {"0": "annual_spend"}, [1], [null]] {
		not shape.valid with input as changed({"/request/predicates/0/fields": value})
	}
}

test_each_operator_speaks_of_one_field_or_of_two if {
	every operator in ["at_least", "at_most", "before", "after", "between", "one_of"] {
		_numbers_of_fields(operator) == {1}
	}
	every operator in ["no_more_than", "equal", "sum_at_least"] {
		_numbers_of_fields(operator) == {2}
	}
	every operator in ["", "AT_LEAST", "unlike", null, 1, [], {}] {
		_numbers_of_fields(operator) == set()
	}
}

_numbers_of_fields(operator) := {count(names) |
	some names in [[], ["a"], ["a", "b"], ["a", "b", "c"]]
	predicate := {"fields": names, "operator": operator, "on_grid": true}
	shape.valid with input as changed({"/request/predicates/0": predicate})
}

test_a_relation_is_of_two_different_fields if {
	names := ["annual_spend", "annual_spend"]
	not shape.valid with input as changed({"/request/predicates/1/fields": names})
}

test_whether_a_bound_is_on_the_grid_is_true_or_false if {
	every value in [null, "true", 1, [], {}] {
		not shape.valid with input as changed({"/request/predicates/0/on_grid": value})
	}
	shape.valid with input as changed({"/request/predicates/0/on_grid": false})
}

test_what_is_granted_are_known_operators_and_a_cap if {
	every value in [null, "", 1, [], {"operators": []}, {"probes": 1}] {
		not shape.valid with input as changed({"/agreement/predicates/headcount": value})
	}
	every value in [null, "at_least", {}, ["unlike"], ["at_least", 1], [null]] {
		not shape.valid with input as changed({"/agreement/predicates/headcount/operators": value})
	}
	every value in ["8", null, -1, 0.5, 9007199254740992] {
		not shape.valid with input as changed({"/agreement/predicates/headcount/probes": value})
	}
}

test_counted_conditions_are_whole_numbers if {
	every value in ["2", null, -1, 0.5, 9007199254740992, [], {}] {
		not shape.valid with input as changed({"/usage/probes/annual_spend": value})
	}
	shape.valid with input as changed({"/usage/probes": {}})
}

test_a_flag_is_true_or_false if {
	every value in [null, "false", 0, [], {}] {
		not shape.valid with input as changed({"/usage/nonce_seen": value})
	}
}

test_words_are_those_of_the_vocabulary if {
	every path in [
		"/agreement/status", "/agreement/fields/region",
		"/dataset/fields/region/grade", "/dataset/fields/region/modes",
		"/dataset/fields/region/modes/0", "/dataset/fields/region/personal",
	] {
		not shape.valid with input as changed({path: "other"})
	}
}

test_grants_and_labels_are_objects if {
	every path in [
		"/agreement", "/dataset", "/agreement/fields", "/agreement/predicates",
		"/dataset/fields", "/usage/probes",
	] {
		every value in [null, "", 1, [], ["plain"]] {
			not shape.valid with input as changed({path: value})
		}
	}
}
