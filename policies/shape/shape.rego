# METADATA
# title: The shape of a question
# description: |
#   Says whether the input is a question at all: every member there, every value
#   of its type. The node checks the same in its own words before it asks; this
#   package makes the policies safe to ask directly. Every condition is positive,
#   so a member that is missing or of another type leaves `valid` false.
# scope: package
package fieldpact.shape

# METADATA
# title: The input is a well-formed question
# description: Gates the decision; a question that is not one is `request.malformed`.
default valid := false

valid if {
	_integer(input.now)
	is_string(input.caller.did)
	is_string(input.caller.problem)
	is_string(input.node.did)
	_request
	_agreement
	_dataset
	_usage
	_company
}

_request if {
	is_string(input.request.agreement)
	is_string(input.request.dataset)
	is_string(input.request.purpose)
	_strings(input.request.fields)
	is_array(input.request.predicates)
	every predicate in input.request.predicates {
		_predicate(predicate)
	}
	_integer(input.request.customers)
	_plan
}

# A query has no plan.
_plan if input.request.plan == null

_plan if {
	input.request.plan.kind in _kinds
	is_string(input.request.plan.mode)
	is_string(input.request.plan.step)
	is_array(input.request.plan.fields)
	every used in input.request.plan.fields {
		_use(used)
	}
	is_boolean(input.request.plan.well_formed)
	_integer(input.request.plan.epsilon_micro)
	_integer(input.request.plan.k_min)
	_integer(input.request.plan.cells)
	_integer(input.request.plan.parties)
	input.request.plan.matching in _matchings
	_integer(input.request.plan.size)
	is_boolean(input.request.plan.signed)
	is_boolean(input.request.plan.current)
	is_boolean(input.request.plan.bound)
}

_use(used) if {
	is_string(used.field)
	used.use in {"filter", "group", "sum"}
	is_boolean(used.granted)
	is_boolean(used.in_bound)
}

# Two fields that are one would ask about its half: `sum_at_least` of a and a.
_predicate(predicate) if {
	_strings(predicate.fields)
	count(predicate.fields) == _arity[predicate.operator]
	count({name | some name in predicate.fields}) == count(predicate.fields)
	is_boolean(predicate.on_grid)
}

_agreement if input.agreement == {}

_agreement if {
	is_string(input.agreement.id)
	input.agreement.status in {"active", "suspended", "revoked"}
	is_string(input.agreement.provider)
	is_string(input.agreement.consumer)
	is_string(input.agreement.dataset)
	_integer(input.agreement.valid_from)
	_integer(input.agreement.valid_to)
	_strings(input.agreement.purposes)
	is_object(input.agreement.fields)
	every way in input.agreement.fields {
		way in _modes
	}
	is_object(input.agreement.predicates)
	every grant in input.agreement.predicates {
		is_array(grant.operators)
		every word in grant.operators {
			is_number(_arity[word])
		}
		_integer(grant.probes)
	}
	_allowance
	_integer(input.agreement.calls_per_hour)
	_integer(input.agreement.rows_per_call)
}

_allowance if input.agreement.allowance == {}

_allowance if {
	is_boolean(input.agreement.allowance.counts)
	_integer(input.agreement.allowance.epsilon_micro)
	_integer(input.agreement.allowance.k_min)
	_integer(input.agreement.allowance.plans_per_day)
	input.agreement.allowance.matching in _matchings
	_integer(input.agreement.allowance.match_size)
}

_dataset if input.dataset == {}

_dataset if {
	is_string(input.dataset.id)
	is_object(input.dataset.fields)
	every labels in input.dataset.fields {
		labels.grade in {"core", "important", "general"}
		is_boolean(labels.personal)
		is_array(labels.modes)
		every way in labels.modes {
			way in _modes
		}
	}
}

_usage if {
	_integer(input.usage.calls_this_hour)
	is_boolean(input.usage.nonce_seen)
	is_boolean(input.usage.stream.known)
	is_boolean(input.usage.stream.signed)
	_integer(input.usage.stream.unacknowledged)
	is_object(input.usage.probes)
	every number in input.usage.probes {
		_integer(number)
	}
	_integer(input.usage.budget_left)
	_integer(input.usage.plans_today)
}

_company if {
	_strings(input.company.denied_fields)
	_strings(input.company.denied_partners)
	_integer(input.company.max_rows)
	_integer(input.company.max_unacknowledged)
}

_modes := {"plain", "predicate", "aggregate", "never"}

_matchings := {"none", "count", "list"}

_kinds := {"heat-map", "intersection", "joint-sum", "ring-count", "federated-sum"}

# Of how many fields each operator speaks.
_arity := {
	"at_least": 1, "at_most": 1, "before": 1, "after": 1, "between": 1, "one_of": 1,
	"no_more_than": 2, "equal": 2, "sum_at_least": 2,
}

_strings(values) if {
	is_array(values)
	every value in values {
		is_string(value)
	}
}

# Whole and not negative. Beyond 2^53 - 1, engines differ in how they keep a number.
_integer(value) if {
	is_number(value)
	value >= 0
	value <= 9007199254740991
	value == floor(value)
}
