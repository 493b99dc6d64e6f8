package fieldpact.company_test

import data.fieldpact.company
import data.fieldpact.shape_test.changed
import data.fieldpact.shape_test.planned

_unmet(changes) := codes if codes := company.unmet with input as changed(changes)

test_the_pinned_question_is_allowed if {
	company.allow with input as data.question
	company.unmet == set() with input as data.question
	company.denied_fields == set() with input as data.question
}

test_partner_refused if {
	partners := ["did:web:other", data.question.caller.did]
	_unmet({"/company/denied_partners": partners}) == {"partner.refused"}
}

test_field_withheld if {
	withheld := ["region", "project_stage"]
	_unmet({"/company/denied_fields": withheld}) == {"field.withheld"}
	question := changed({"/company/denied_fields": withheld})
	company.denied_fields == {"project_stage"} with input as question
}

test_field_withheld_although_it_stays_hidden if {
	withheld := ["planned_spend", "region"]
	_unmet({"/company/denied_fields": withheld}) == {"field.withheld"}
	question := changed({"/company/denied_fields": withheld})
	company.denied_fields == {"planned_spend"} with input as question
}

test_field_withheld_although_it_is_only_counted if {
	company.allow with input as planned({})
	question := planned({"/company/denied_fields": ["fault", "region"]})
	company.unmet == {"field.withheld"} with input as question
	company.denied_fields == {"fault"} with input as question
}

test_a_partner_that_is_refused_counts_nothing if {
	question := planned({"/company/denied_partners": [data.question.caller.did]})
	company.unmet == {"partner.refused"} with input as question
}

test_plans_that_are_none_clear_nothing if {
	every value in ["", 1, {}, [], {"fields": "fault"}, {"fields": ["fault"]}, {"fields": [{"field": 1}]}] {
		_unmet({"/request/plan": value}) == {"field.withheld"}
	}
}

test_predicates_that_are_none_clear_nothing if {
	every value in [null, "", 1, {}, [1], [{}], [{"fields": "region"}], [{"fields": {}}]] {
		_unmet({"/request/predicates": value}) == {"field.withheld"}
	}
}

test_receipts_unacknowledged if {
	_unmet({"/usage/stream/unacknowledged": 100}) == {"receipts.unacknowledged"}
	_unmet({"/usage/stream/unacknowledged": 99}) == set()
	every value in [null, "", {}, []] {
		_unmet({"/usage/stream/unacknowledged": value}) == {"receipts.unacknowledged"}
		_unmet({"/company/max_unacknowledged": value}) == {"receipts.unacknowledged"}
	}
}

test_rows_exceeded if {
	_unmet({"/company/max_rows": 2}) == {"rows.exceeded"}
}

test_lists_that_are_none_clear_nothing if {
	every value in [null, "", 1, {}] {
		_unmet({"/company/denied_partners": value}) == {"partner.refused"}
		_unmet({"/company/denied_fields": value}) == {"field.withheld"}
		_unmet({"/request/fields": value}) == {"field.withheld"}
	}
}

test_nothing_is_cleared_by_nothing if {
	every nothing in [{}, [], null, "", 0, false] {
		not company.allow with input as nothing
		company.unmet == company.required with input as nothing
	}
}

test_whatever_is_cleared_is_required if {
	company.cleared - company.required == set() with input as data.question
}
