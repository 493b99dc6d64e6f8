# METADATA
# title: The decision
# description: |
#   Composes the question's shape, the consortium's baseline and the company's own
#   narrowing into one object. All must allow. Reasons explain a refusal and never
#   gate it; fields and obligations are released under `allow` only.
# scope: package
package fieldpact.decision

# METADATA
# title: The answer to one call
# description: |
#   `allow`; `fields` to disclose; `predicate_fields` to prove something of;
#   `aggregate_fields` to make the plan's figures of; `denials`, the codes that explain
#   a refusal; `denied_fields`, the fields that caused one; `obligations` of the
#   consumer.
# entrypoint: true
result := {
	"allow": allow,
	"fields": fields,
	"predicate_fields": predicate_fields,
	"aggregate_fields": aggregate_fields,
	"denials": denials,
	"denied_fields": denied_fields,
	"obligations": obligations,
}

default allow := false

allow if {
	data.fieldpact.shape.valid
	data.fieldpact.consortium.allow
	data.fieldpact.company.allow
}

fields contains name if {
	allow
	some name in data.fieldpact.consortium.releasable
}

predicate_fields contains name if {
	allow
	some name in data.fieldpact.consortium.provable
}

aggregate_fields contains name if {
	allow
	some name in data.fieldpact.consortium.countable
}

obligations contains "receipt.countersign" if allow

obligations contains "personal.protect" if {
	allow
	count(data.fieldpact.consortium.personal) > 0
}

# Reasons are worked out for refusals only: an allowed call, the common one, pays
# nothing for them.
denials contains "request.malformed" if data.fieldpact.shape.valid == false

denials contains code if {
	allow == false
	data.fieldpact.shape.valid
	some code in _open[0]
}

denied_fields contains name if {
	allow == false
	count(_field_codes) > 0
	some name in (data.fieldpact.consortium.denied_fields | data.fieldpact.company.denied_fields)
}

_field_codes := {code |
	some code in denials
	some prefix in {"field.", "predicate.", "aggregate."}
	startswith(code, prefix)
}

# A caller learns the reasons of one tier only after clearing the one before: who
# shows no good token hears nothing about agreements, who is not party to one
# hears nothing about its state.
_open := [codes |
	some tier in _tiers
	codes := tier & (data.fieldpact.consortium.unmet | data.fieldpact.company.unmet)
	count(codes) > 0
]

_tiers := [
	data.fieldpact.consortium.token_problems,
	{"nonce.replayed"},
	{"agreement.unknown"},
	{"agreement.not_party", "partner.refused"},
	_in_force,
	{"stream.diverged", "countersignature.wrong", "receipts.unacknowledged"},
	{"dataset.mismatch"},
	{"plan.signature", "plan.mismatch", "plan.expired"},
	_content,
]

_in_force := {
	"agreement.suspended", "agreement.revoked",
	"agreement.not_yet_valid", "agreement.expired",
}

_content := {
	"purpose.mismatch", "field.not_granted", "field.mode", "field.grade",
	"field.withheld", "predicate.not_granted", "predicate.granularity",
	"predicate.exhausted", "plan.malformed", "aggregate.not_granted", "aggregate.bound",
	"matching.not_granted", "matching.size", "cohort.minimum", "parties.too_few",
	"plans.exceeded", "budget.exhausted", "rate.exceeded", "rows.exceeded",
	"request.malformed",
}
