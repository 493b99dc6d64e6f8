# METADATA
# title: The consortium's baseline
# description: |
#   What every member holds a call to. `cleared` is the set of denial codes that
#   the call is *known* to be clear of: each rule names the code it rules out and
#   the positive condition that does so. A call is allowed when it is clear of
#   every code in `required`; a condition that is undefined does not hold, so it denies.
#   Both sets have two halves, what is asked of every call and what of a plan.
# scope: package
package fieldpact.consortium

required := call_problems | plan_problems

call_problems := token_problems | {
	"nonce.replayed",
	"agreement.unknown", "agreement.not_party", "agreement.suspended",
	"agreement.revoked", "agreement.not_yet_valid", "agreement.expired",
	"stream.diverged", "countersignature.wrong",
	"dataset.mismatch", "purpose.mismatch",
	"field.not_granted", "field.mode", "field.grade",
	"predicate.not_granted", "predicate.granularity", "predicate.exhausted",
	"rate.exceeded", "rows.exceeded", "request.malformed",
}

cleared := call_cleared | plan_cleared

default allow := false

allow if {
	call_cleared & call_problems == call_problems
	_plan_allowed
}

_plan_allowed if input.request.plan == null

_plan_allowed if {
	is_object(input.request.plan)
	plan_cleared & plan_problems == plan_problems
}

unmet := required - cleared

# The caller. `problem` is what the node found wrong with its token, "" when it is
# right; a word that is not in this set counts as `token.malformed`.

token_problems := {
	"token.missing", "token.malformed", "token.signature", "token.audience",
	"token.expired", "token.issuer_unknown", "token.key_revoked",
	"token.request_mismatch", "token.agreement_mismatch",
}

call_cleared contains code if {
	some code in (token_problems - {"token.malformed"})
	input.caller.problem != code
}

call_cleared contains "token.malformed" if {
	input.caller.problem in (({""} | token_problems) - {"token.malformed"})
}

call_cleared contains "nonce.replayed" if input.usage.nonce_seen == false

call_cleared contains "agreement.not_party" if {
	input.caller.did != ""
	input.caller.did == input.agreement.consumer
	input.node.did == input.agreement.provider
}

# The agreement.

call_cleared contains "agreement.unknown" if input.agreement.id == input.request.agreement

call_cleared contains "agreement.suspended" if input.agreement.status in {"active", "revoked"}

call_cleared contains "agreement.revoked" if input.agreement.status in {"active", "suspended"}

call_cleared contains "agreement.not_yet_valid" if {
	is_number(input.now)
	is_number(input.agreement.valid_from)
	input.now >= input.agreement.valid_from
}

call_cleared contains "agreement.expired" if {
	is_number(input.now)
	is_number(input.agreement.valid_to)
	input.now < input.agreement.valid_to
}

# The receipts so far. What the caller says to be its newest must be one of ours, and
# what it signed must verify: otherwise the two remember different histories.

call_cleared contains "stream.diverged" if input.usage.stream.known == true

call_cleared contains "countersignature.wrong" if input.usage.stream.signed == true

call_cleared contains "dataset.mismatch" if {
	input.request.dataset == input.agreement.dataset
	input.request.dataset == input.dataset.id
}

call_cleared contains "purpose.mismatch" if input.request.purpose in input.agreement.purposes

call_cleared contains "rate.exceeded" if {
	is_number(input.usage.calls_this_hour)
	is_number(input.agreement.calls_per_hour)
	input.usage.calls_this_hour < input.agreement.calls_per_hour
}

call_cleared contains "rows.exceeded" if {
	is_number(input.request.customers)
	is_number(input.agreement.rows_per_call)
	input.request.customers <= input.agreement.rows_per_call
}

# The request: a query, or a step of a plan. A query that asks nothing, or about
# nobody, is none; a step asks for nothing beside its plan.

call_cleared contains "request.malformed" if {
	input.request.plan == null
	is_number(input.request.customers)
	input.request.customers > 0
	count(_requested | _asked_about) > 0
	is_array(input.request.predicates)
	every predicate in input.request.predicates {
		is_array(predicate.fields)
		count(predicate.fields) > 0
	}
}

call_cleared contains "request.malformed" if {
	is_object(input.request.plan)
	input.request.fields == []
	input.request.predicates == []
	input.request.customers == 0
}

# The fields that are to be shown. They pass three gates, one inside the other. A call
# is answered whole or not at all: one field that stops at a gate refuses the call.

_requested := {name | some name in input.request.fields}

_granted := {name |
	some name in _requested
	is_string(input.agreement.fields[name])
	is_object(input.dataset.fields[name])
}

# Who asks for a field asks for its value, so the mode asked for is `plain`.
_in_mode := {name |
	some name in _granted
	input.agreement.fields[name] == "plain"
	"plain" in input.dataset.fields[name].modes
}

# The floor per grade: the modes in which a field of that grade may leave at all.
_floor := {
	"core": set(),
	"important": {"predicate", "aggregate"},
	"general": {"plain", "predicate", "aggregate"},
}

releasable contains name if {
	some name in _in_mode
	input.agreement.fields[name] in _floor[input.dataset.fields[name].grade]
}

call_cleared contains "field.not_granted" if _granted == _requested

call_cleared contains "field.mode" if _in_mode == _granted

call_cleared contains "field.grade" if {
	releasable == _in_mode
	_in_floor == _provable
	_countable == _usable
}

# The fields that stay hidden while something is proved of them. They pass gates of
# their own, again one inside the other: agreed on for this operator, allowed by the
# floor, and not asked about too often. A field has one mode in an agreement, so who
# asks to see it and to have it proved stops at a gate either way.

_asked_about := {name |
	some predicate in input.request.predicates
	some name in predicate.fields
}

_provable := {name |
	some name in _asked_about
	input.agreement.fields[name] == "predicate"
	"predicate" in input.dataset.fields[name].modes
	every predicate in _about(name) {
		predicate.operator in input.agreement.predicates[name].operators
	}
}

_about(name) := [predicate |
	some predicate in input.request.predicates
	name in predicate.fields
]

_in_floor := {name |
	some name in _provable
	"predicate" in _floor[input.dataset.fields[name].grade]
}

# `probes` counts this call: as many as were agreed may be asked.
provable contains name if {
	some name in _in_floor
	is_number(input.usage.probes[name])
	is_number(input.agreement.predicates[name].probes)
	input.usage.probes[name] <= input.agreement.predicates[name].probes
}

call_cleared contains "predicate.not_granted" if _provable == _asked_about

call_cleared contains "predicate.exhausted" if provable == _in_floor

# Whether bounds lie on the agreed grid is said of a predicate, not of a field; it is
# known of those whose fields all came this far.

_agreed := {predicate |
	some predicate in input.request.predicates
	every name in predicate.fields {
		name in _in_floor
	}
}

_on_grid := {predicate |
	some predicate in _agreed
	predicate.on_grid == true
}

call_cleared contains "predicate.granularity" if _on_grid == _agreed

_off_grid := {name |
	some predicate in (_agreed - _on_grid)
	some name in predicate.fields
}

denied_fields := ((_requested - releasable) | (_asked_about - provable)) | (_off_grid | _uncounted)

# What is proved of a person is about that person too.
personal contains name if {
	some name in (releasable | provable)
	input.dataset.fields[name].personal == true
}

# The plan of a step. What is true of a plan without one is nothing, so a query is
# known to be clear of what can be wrong with plans by having none. Of a query, the
# common call, nothing more is worked out here: `allow` asks for the whole set only
# where there is a plan.

plan_problems := {
	"plan.signature", "plan.mismatch", "plan.expired", "plan.malformed",
	"aggregate.not_granted", "aggregate.bound", "matching.not_granted", "matching.size",
	"cohort.minimum", "parties.too_few", "plans.exceeded", "budget.exhausted",
}

plan_cleared contains code if {
	input.request.plan == null
	some code in plan_problems
}

plan_cleared contains "plan.signature" if input.request.plan.signed == true

plan_cleared contains "plan.mismatch" if input.request.plan.bound == true

plan_cleared contains "plan.expired" if input.request.plan.current == true

plan_cleared contains "plan.malformed" if input.request.plan.well_formed == true

# The fields that figures are made of. Again gates, one inside the other: agreed on for
# each use that the plan makes of them, allowed by the floor, and cut off as agreed. A
# field has one mode in an agreement, so what is counted is neither shown nor proved.

_figured := {name |
	some used in input.request.plan.fields
	name := used.field
}

_used_as(name) := [used |
	some used in input.request.plan.fields
	used.field == name
]

_usable := {name |
	some name in _figured
	input.agreement.fields[name] == "aggregate"
	"aggregate" in input.dataset.fields[name].modes
	every used in _used_as(name) {
		used.granted == true
	}
}

_countable := {name |
	some name in _usable
	"aggregate" in _floor[input.dataset.fields[name].grade]
}

countable contains name if {
	some name in _countable
	every used in _used_as(name) {
		used.in_bound == true
	}
}

_uncounted := _figured - countable

# To count without naming a field, something must be agreed on all the same.

plan_cleared contains "aggregate.not_granted" if {
	_usable == _figured
	_matching != "none"
}

plan_cleared contains "aggregate.not_granted" if {
	is_object(input.request.plan)
	_usable == _figured
	input.agreement.allowance.counts == true
}

plan_cleared contains "aggregate.bound" if {
	is_object(input.request.plan)
	countable == _countable
}

# What is told of shared customers. Who may have the list may have its length.

_matching := input.request.plan.matching

_matchable := {
	"none": {"none"},
	"count": {"none", "count"},
	"list": {"none", "count", "list"},
}

plan_cleared contains "matching.not_granted" if _matching == "none"

plan_cleared contains "matching.not_granted" if {
	_matching in _matchable[input.agreement.allowance.matching]
}

plan_cleared contains "matching.size" if _matching == "none"

plan_cleared contains "matching.size" if {
	is_number(input.request.plan.size)
	is_number(input.agreement.allowance.match_size)
	input.request.plan.size <= input.agreement.allowance.match_size
}

# How many are hidden behind a figure, and what it costs.

plan_cleared contains "cohort.minimum" if {
	is_number(input.request.plan.k_min)
	is_number(input.agreement.allowance.k_min)
	input.request.plan.k_min >= input.agreement.allowance.k_min
}

# In a sum over two, each finds the other's.
_fewest := {
	"heat-map": 1, "intersection": 1, "joint-sum": 1, "ring-count": 2, "federated-sum": 3,
}

plan_cleared contains "parties.too_few" if {
	is_number(input.request.plan.parties)
	is_number(_fewest[input.request.plan.kind])
	input.request.plan.parties >= _fewest[input.request.plan.kind]
}

# `plans_today` leaves this plan out, however many steps it has had.
plan_cleared contains "plans.exceeded" if {
	is_number(input.usage.plans_today)
	is_number(input.agreement.allowance.plans_per_day)
	input.usage.plans_today < input.agreement.allowance.plans_per_day
}

# `budget_left` is what this plan may take, with what it has taken already.
plan_cleared contains "budget.exhausted" if {
	is_number(input.request.plan.epsilon_micro)
	is_number(input.usage.budget_left)
	is_number(input.agreement.allowance.epsilon_micro)
	input.request.plan.epsilon_micro <= input.usage.budget_left
	input.request.plan.epsilon_micro <= input.agreement.allowance.epsilon_micro
}
