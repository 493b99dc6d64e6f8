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
	asked := input.request
	is_string(asked.agreement)
	is_string(asked.dataset)
	is_string(asked.purpose)
	_strings(asked.fields)
	is_array(asked.predicates)
	every predicate in asked.predicates {
		_predicate(predicate)
	}
	_integer(asked.customers)
	_plan
}

# A query has no plan.
_plan if input.request.plan == null

_plan if {
	planned := input.request.plan
	planned.kind in _kinds
	is_string(planned.mode)
	is_string(planned.step)
	is_array(planned.fields)
	every used in planned.fields {
		_use(used)
	}
	is_boolean(planned.well_formed)
	_integer(planned.epsilon_micro)
	_integer(planned.k_min)
	_integer(planned.cells)
	_integer(planned.parties)
	planned.matching in _matchings
	_integer(planned.size)
	is_boolean(planned.signed)
	is_boolean(planned.current)
	is_boolean(planned.bound)
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
	terms := input.agreement
	is_string(terms.id)
	terms.status in {"active", "suspended", "revoked"}
	is_string(terms.provider)
	is_string(terms.consumer)
	is_string(terms.dataset)
	_integer(terms.valid_from)
	_integer(terms.valid_to)
	_strings(terms.purposes)
	is_object(terms.fields)
	every way in terms.fields {
		way in _modes
	}
	is_object(terms.predicates)
	every grant in terms.predicates {
		is_array(grant.operators)
		every word in grant.operators {
			is_number(_arity[word])
		}
		_integer(grant.probes)
	}
	_allowance
	_integer(terms.calls_per_hour)
	_integer(terms.rows_per_call)
}

_allowance if input.agreement.allowance == {}

_allowance if {
	most := input.agreement.allowance
	is_boolean(most.counts)
	_integer(most.epsilon_micro)
	_integer(most.k_min)
	_integer(most.plans_per_day)
	most.matching in _matchings
	_integer(most.match_size)
}

_dataset if input.dataset == {}

_dataset if {
	told := input.dataset
	is_string(told.id)
	is_object(told.fields)
	every labels in told.fields {
		labels.grade in {"core", "important", "general"}
		is_boolean(labels.personal)
		is_array(labels.modes)
		every way in labels.modes {
			way in _modes
		}
	}
}

_usage if {
	past := input.usage
	_integer(past.calls_this_hour)
	is_boolean(past.nonce_seen)
	is_boolean(past.stream.known)
	is_boolean(past.stream.signed)
	_integer(past.stream.unacknowledged)
	is_object(past.probes)
	every number in past.probes {
		_integer(number)
	}
	_integer(past.budget_left)
	_integer(past.plans_today)
}

_company if {
	own := input.company
	_strings(own.denied_fields)
	_strings(own.denied_partners)
	_integer(own.max_rows)
	_integer(own.max_unacknowledged)
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
