# METADATA
# title: The company's own narrowing
# description: |
#   What this company refuses although the consortium would allow it, from its
#   settings. The decision needs this package and the consortium's to allow, each
#   by itself, so nothing that is written here can widen what leaves.
# scope: package
package fieldpact.company

required := {
	"partner.refused", "receipts.unacknowledged", "field.withheld", "rows.exceeded",
}

default allow := false

allow if cleared & required == required

unmet := required - cleared

cleared contains "partner.refused" if {
	is_string(input.caller.did)
	is_array(input.company.denied_partners)
	every partner in input.company.denied_partners {
		partner != input.caller.did
	}
}

cleared contains "receipts.unacknowledged" if {
	is_number(input.usage.stream.unacknowledged)
	is_number(input.company.max_unacknowledged)
	input.usage.stream.unacknowledged < input.company.max_unacknowledged
}

cleared contains "field.withheld" if {
	is_array(input.company.denied_fields)
	is_array(input.request.fields)
	is_array(input.request.predicates)
	every predicate in input.request.predicates {
		is_array(predicate.fields)
	}
	_plan_told
	count(denied_fields) == 0
}

_plan_told if input.request.plan == null

_plan_told if {
	is_array(input.request.plan.fields)
	every used in input.request.plan.fields {
		is_string(used.field)
	}
}

cleared contains "rows.exceeded" if {
	is_number(input.request.customers)
	is_number(input.company.max_rows)
	input.request.customers <= input.company.max_rows
}

denied_fields contains name if {
	some name in input.request.fields
	name in input.company.denied_fields
}

# What is withheld is withheld in every mode.
denied_fields contains name if {
	some predicate in input.request.predicates
	some name in predicate.fields
	name in input.company.denied_fields
}

denied_fields contains name if {
	some used in input.request.plan.fields
	name := used.field
	name in input.company.denied_fields
}
