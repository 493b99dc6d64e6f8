package fieldpact.shape_test

import data.fieldpact.shape

# The pinned question, which every policy allows, with members set by JSON pointer.
# (After `with input as data.question with input.x as 1`, OPA 1.20.2 shows that
# change to later expressions of the same rule too.)
changed(changes) := json.patch(data.question, [{"op": "add", "path": path, "value": value} |
	some path, value in changes
])

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
	every path in ["/agreement", "/dataset", "/agreement/fields", "/dataset/fields"] {
		every value in [null, "", 1, [], ["plain"]] {
			not shape.valid with input as changed({path: value})
		}
	}
}
