"""What each refusal means to a person, and what it lets a caller do about it.

The codes are part of the protocol; each has a sentence that says what is wrong and
one that says what mends it, in both languages. `policies/README.md` explains the same
codes, and a test holds the two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from node.domain.dataset import Title


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One denial code, for people: what is wrong, and what mends it."""

    message: Title
    mend: Title


def _denial(en: str, zh: str, mend_en: str, mend_zh: str) -> Denial:
    return Denial(message=Title(en=en, zh=zh), mend=Title(en=mend_en, zh=mend_zh))


_ENGINE_MEND: Final = (
    "Nothing was disclosed. Try again; if it stays so, tell the provider.",
    "未披露任何数据。请重试；如仍然如此，请告知提供方。",
)

AFTER_POLICY: Final = frozenset(
    {
        "aggregate.unavailable",
        "ciphertext.malformed",
        "cohort.too_small",
        "commitment.mismatch",
        "customer.not_shared",
        "key.mismatch",
        "plan.narrowing",
        "points.malformed",
        "result.mismatch",
        "roster.differencing",
        "roster.invalid",
        "round.order",
        "round.replayed",
        "rows.exceeded",
        "snapshot.pending",
        "source.unavailable",
    }
)
"""Codes of checks that the node makes after the policies allowed."""

DENIALS: Final[Mapping[str, Denial]] = MappingProxyType(
    {
        "token.missing": _denial(
            "The call carries no token.",
            "调用未携带令牌。",
            "Send a self-issued token as `Authorization: Bearer …`.",
            "请以 `Authorization: Bearer …` 发送自签发令牌。",
        ),
        "token.malformed": _denial(
            "The token is not one that this node can read.",
            "令牌格式无法识别。",
            "Send an EdDSA JWT with exactly the claims of the protocol.",
            "请发送 EdDSA JWT，其声明须与协议一致。",
        ),
        "token.signature": _denial(
            "The token's signature does not match the issuer's pinned key.",
            "令牌签名与签发方登记的密钥不符。",
            "Sign with the key in your participant record, or have the record renewed.",
            "请使用参与方登记记录中的密钥签名，或更新该记录。",
        ),
        "token.audience": _denial(
            "The token is meant for somebody else.",
            "令牌的受众不是本节点。",
            "Set `aud` to the DID of the provider you call.",
            "请将 `aud` 设为被调用提供方的 DID。",
        ),
        "token.expired": _denial(
            "The token is outside its time, or lives longer than 300 seconds.",
            "令牌不在有效时间内，或有效期超过 300 秒。",
            "Issue a new token for each call, and check your clock.",
            "请为每次调用签发新令牌，并检查系统时钟。",
        ),
        "token.issuer_unknown": _denial(
            "The token's issuer is not in the consortium registry.",
            "令牌签发方不在联盟登记册中。",
            "Have the consortium register your participant record.",
            "请由联盟登记您的参与方记录。",
        ),
        "token.key_revoked": _denial(
            "The key that signed the token holds no more, or was never registered.",
            "签署令牌的密钥已失效，或未在联盟登记合约中登记。",
            "Register the key that you sign with, and have partners pin your record.",
            "请登记您用于签名的密钥，并请合作方更新您的登记记录。",
        ),
        "token.request_mismatch": _denial(
            "The token was issued for another request.",
            "令牌是为另一请求签发的。",
            "Bind the token to the hash of exactly this request.",
            "请将令牌绑定到本请求的哈希值。",
        ),
        "token.agreement_mismatch": _denial(
            "The token names another agreement than the request.",
            "令牌与请求所指的协议不一致。",
            "Name the same agreement in the token and in the request.",
            "请在令牌与请求中使用同一协议。",
        ),
        "nonce.replayed": _denial(
            "This token has been used before.",
            "该令牌已被使用过。",
            "Issue a new token for each call.",
            "请为每次调用签发新令牌。",
        ),
        "agreement.unknown": _denial(
            "The provider holds no such agreement.",
            "提供方没有该协议。",
            "Check the agreement's id, or negotiate one.",
            "请核对协议编号，或先协商协议。",
        ),
        "agreement.not_party": _denial(
            "The caller is not the consumer of this agreement.",
            "调用方不是该协议的使用方。",
            "Call under an agreement that names you, at its provider.",
            "请依据以您为使用方的协议，向其提供方调用。",
        ),
        "agreement.suspended": _denial(
            "The agreement is suspended.",
            "该协议已暂停。",
            "Ask the provider when it will be resumed.",
            "请向提供方询问何时恢复。",
        ),
        "agreement.revoked": _denial(
            "The agreement is revoked.",
            "该协议已撤销。",
            "Negotiate a new agreement.",
            "请协商新的协议。",
        ),
        "agreement.not_yet_valid": _denial(
            "The agreement is not valid yet.",
            "该协议尚未生效。",
            "Call again once its validity has begun.",
            "请在协议生效后再调用。",
        ),
        "agreement.expired": _denial(
            "The agreement has expired.",
            "该协议已到期。",
            "Negotiate a new agreement.",
            "请协商新的协议。",
        ),
        "stream.diverged": _denial(
            "The newest receipt that the call names is none of the provider's.",
            "调用所指的最新回执不是提供方出具的回执。",
            "Compare what both of you hold: `fieldpact reconcile`.",
            "请核对双方所持回执：`fieldpact reconcile`。",
        ),
        "countersignature.wrong": _denial(
            "A countersignature in the call is not the caller's over its receipt.",
            "调用所附的会签不是调用方对其回执的签名。",
            "Sign the receipts of your own calls under this agreement, as received.",
            "请对本协议下您自己的调用所收到的回执签名。",
        ),
        "receipts.unacknowledged": _denial(
            "Too many receipts of this agreement were not signed back.",
            "该协议下尚未会签的回执过多。",
            "Sign back what you received; fetch what got lost: `fieldpact reconcile`.",
            "请会签已收到的回执；遗失的可用 `fieldpact reconcile` 补取。",
        ),
        "dataset.mismatch": _denial(
            "The agreement does not cover this dataset.",
            "该协议不涵盖此数据集。",
            "Ask for the dataset that the agreement names.",
            "请请求协议所指的数据集。",
        ),
        "purpose.mismatch": _denial(
            "The agreement does not allow this purpose.",
            "该协议不允许此用途。",
            "State a purpose that the agreement lists, or negotiate this one.",
            "请使用协议所列的用途，或就此用途另行协商。",
        ),
        "field.not_granted": _denial(
            "The agreement does not grant a requested field.",
            "所请求的字段未获协议授权。",
            "Leave the field out, or negotiate it.",
            "请去除该字段，或就其协商授权。",
        ),
        "field.grade": _denial(
            "A requested field is graded too sensitive to be shown in this way.",
            "所请求字段的数据分级不允许以此方式共享。",
            "Leave the field out; no agreement can lift the consortium's floor.",
            "请去除该字段；任何协议都不能突破联盟的分级底线。",
        ),
        "field.mode": _denial(
            "A requested field may not be shown in plain.",
            "所请求的字段不允许以明文披露。",
            "Leave the field out, or ask for it in the mode that is granted.",
            "请去除该字段，或以获授权的方式请求。",
        ),
        "field.withheld": _denial(
            "The provider's own rules withhold a requested field.",
            "提供方自身的规则不予提供所请求的字段。",
            "Leave the field out, or ask the provider why.",
            "请去除该字段，或向提供方询问原因。",
        ),
        "predicate.not_granted": _denial(
            "The agreement does not grant a condition that was asked.",
            "所询问的条件未获协议授权。",
            "Ask only the conditions that the agreement lists for a field, "
            "or negotiate this one.",
            "请仅使用协议就该字段所列的条件，或就此条件另行协商。",
        ),
        "predicate.granularity": _denial(
            "A condition is finer than the agreement allows.",
            "所询问的条件比协议允许的粒度更细。",
            "Move its bounds onto the steps that the agreement states.",
            "请将条件的界限调整到协议规定的步长上。",
        ),
        "predicate.exhausted": _denial(
            "No further condition may be asked about a field of these customers.",
            "就这些客户的某一字段，可询问的不同条件已用完。",
            "Ask a condition again that was asked before, or negotiate for more.",
            "请重复使用此前询问过的条件，或另行协商更多次数。",
        ),
        "plan.malformed": _denial(
            "The plan's groups, conditions or measure do not fit the fields.",
            "计划的分组、条件或度量与字段类型不符。",
            "Write values as the fields' types have them, and sum amounts only.",
            "请按字段类型书写取值，且仅对数额求和。",
        ),
        "plan.signature": _denial(
            "The plan is not signed by the partner that asks.",
            "计划未由发起方签名。",
            "Sign the plan with the key in your participant record.",
            "请使用参与方登记记录中的密钥签署计划。",
        ),
        "plan.expired": _denial(
            "The plan is outside its time.",
            "计划不在有效时间内。",
            "Draw up a new plan, and check your clock.",
            "请重新拟定计划，并检查系统时钟。",
        ),
        "plan.mismatch": _denial(
            "The plan is for another agreement, dataset, purpose or party.",
            "计划所指的协议、数据集、用途或参与方与本次调用不符。",
            "Name in the plan the agreement, its hash and its dataset as they are.",
            "请在计划中如实写明协议、其哈希值及数据集。",
        ),
        "aggregate.not_granted": _denial(
            "The agreement does not grant this use of a field in figures.",
            "协议未授权将某字段用于此类统计。",
            "Use fields only as the agreement lists them, or negotiate this use.",
            "请仅按协议所列方式使用字段，或就此用途另行协商。",
        ),
        "aggregate.bound": _denial(
            "The plan lets one customer add more to a sum than was agreed.",
            "计划允许单个客户对合计的贡献超过约定上限。",
            "Lower the plan's bound to the one that the agreement states.",
            "请将计划的上限降至协议规定的数值。",
        ),
        "matching.not_granted": _denial(
            "The agreement does not let shared customers be found in this way.",
            "协议未授权以此方式查找共同客户。",
            "Ask for their number instead of their list, or negotiate it.",
            "请改为仅请求数量而非名单，或另行协商。",
        ),
        "matching.size": _denial(
            "The list of customers to be matched is longer than agreed.",
            "用于匹配的客户名单超过约定长度。",
            "Match fewer customers.",
            "请减少用于匹配的客户数量。",
        ),
        "cohort.minimum": _denial(
            "The plan asks for figures over fewer customers than agreed.",
            "计划要求的最少客户数低于约定值。",
            "Raise the plan's least number of customers to the agreed one.",
            "请将计划的最少客户数提高到约定值。",
        ),
        "parties.too_few": _denial(
            "Too few companies take part for figures of this kind.",
            "参与此类统计的企业数量不足。",
            "Ask more partners to take part.",
            "请邀请更多合作方参与。",
        ),
        "plans.exceeded": _denial(
            "The agreement's plans for this day are used up.",
            "协议规定的当日计划数量已用完。",
            "Ask again tomorrow, or ask for more figures in one plan.",
            "请次日再试，或在一个计划中请求更多统计。",
        ),
        "budget.exhausted": _denial(
            "What is left of the privacy budget is less than the plan costs.",
            "剩余隐私预算不足以支付该计划。",
            "Lower the plan's epsilon, or wait for the next period.",
            "请降低计划的 epsilon，或等待下一周期。",
        ),
        "partner.refused": _denial(
            "The provider's own rules refuse this partner at present.",
            "提供方自身的规则目前拒绝该合作方。",
            "Ask the provider why.",
            "请向提供方询问原因。",
        ),
        "rate.exceeded": _denial(
            "The agreement's calls for this hour are used up.",
            "协议规定的本小时调用次数已用完。",
            "Call again in the next hour, or ask about more customers per call.",
            "请在下一小时再调用，或在单次调用中请求更多客户。",
        ),
        "rows.exceeded": _denial(
            "The call asks about, or would return, more rows than allowed.",
            "请求或返回的行数超过上限。",
            "Ask about fewer customers per call.",
            "请减少单次调用的客户数量。",
        ),
        "customer.not_shared": _denial(
            "No customer named in the call is shared under this agreement.",
            "调用所指的客户均不在该协议的共享范围内。",
            "Declare your customers under the agreement first.",
            "请先在该协议下申报您的客户。",
        ),
        "snapshot.pending": _denial(
            "The provider is committing the records of this agreement.",
            "提供方正在为该协议的记录生成承诺。",
            "Nothing was disclosed. Ask again in a moment.",
            "未披露任何数据。请稍后再请求。",
        ),
        "source.unavailable": _denial(
            "The provider's own database does not answer.",
            "提供方的业务数据库无应答。",
            *_ENGINE_MEND,
        ),
        "cohort.too_small": _denial(
            "The figures would be over too few customers, or differ by too few "
            "from earlier ones.",
            "统计所涉客户过少，或与先前统计的差异过小。",
            "Ask about more customers, with fewer conditions.",
            "请减少条件，以涵盖更多客户。",
        ),
        "plan.narrowing": _denial(
            "The same figures were given before with one condition more or less.",
            "此前已就多一个或少一个条件的相同统计作答。",
            "Ask what was asked before, or something that differs in more than that.",
            "请重复此前的请求，或提出差异更大的请求。",
        ),
        "roster.differencing": _denial(
            "The same sum was given before with one company more or less.",
            "此前已就多一家或少一家企业的相同合计作答。",
            "Ask the same companies as before, or wait for the next period.",
            "请向与此前相同的企业请求，或等待下一周期。",
        ),
        "roster.invalid": _denial(
            "The roster is not that of the plan, or a promise in it is not signed.",
            "名册与计划不符，或其中有承诺未经签名。",
            "Ask every party of the plan to accept, and send on what they signed.",
            "请让计划中的每一方接受，并原样转发其签名。",
        ),
        "round.replayed": _denial(
            "The plan's round has been used before, for another plan.",
            "该计划的轮次已被另一计划使用。",
            "Draw up a new plan: each has a round of its own.",
            "请重新拟定计划：每个计划须有独立轮次。",
        ),
        "round.order": _denial(
            "The step comes before the one that it follows.",
            "该步骤先于其应后续的步骤到达。",
            "Call the steps of a plan in their order, each to its end.",
            "请按顺序逐一完成计划的各步骤。",
        ),
        "ciphertext.malformed": _denial(
            "What was sent as encrypted numbers is none of the named parameters.",
            "所发送的密文不符合指定参数。",
            "Encrypt under the plan's key and parameters, and send it whole.",
            "请使用计划的密钥与参数加密，并完整发送。",
        ),
        "points.malformed": _denial(
            "What was sent as blinded customers is none, or of another size.",
            "所发送的盲化客户数据无效，或数量不符。",
            "Send as many distinct points as the plan states, none of them zero.",
            "请发送计划所述数量的互异非零点。",
        ),
        "result.mismatch": _denial(
            "The encrypted result is not what the plan gives.",
            "加密结果与计划应得结果不符。",
            "Compute exactly what the plan says, on the columns of this round.",
            "请仅按计划对本轮的数据列进行计算。",
        ),
        "commitment.mismatch": _denial(
            "What was sent is not what was committed to before.",
            "所发送内容与先前承诺不符。",
            "Send exactly what the commitment was made of, or draw up a new plan.",
            "请发送与承诺一致的内容，或重新拟定计划。",
        ),
        "key.mismatch": _denial(
            "The encryption key is not the one that the plan names.",
            "加密密钥与计划所指不符。",
            "Send the key whose hash the plan holds.",
            "请发送与计划中哈希值相符的密钥。",
        ),
        "aggregate.unavailable": _denial(
            "The provider cannot compute on encrypted numbers at present.",
            "提供方目前无法进行密文计算。",
            *_ENGINE_MEND,
        ),
        "request.malformed": _denial(
            "The request is not one that can be decided.",
            "该请求无法裁决。",
            "Send the members that the protocol names, each with its type.",
            "请按协议发送各成员，且类型正确。",
        ),
        "policy.unavailable": _denial(
            "The provider's policy engine does not answer.",
            "提供方的策略引擎无应答。",
            *_ENGINE_MEND,
        ),
        "policy.timeout": _denial(
            "The provider's policy engine did not answer in time.",
            "提供方的策略引擎未及时应答。",
            *_ENGINE_MEND,
        ),
        "policy.undefined": _denial(
            "The provider's policy engine holds no decision.",
            "提供方的策略引擎没有给出裁决。",
            *_ENGINE_MEND,
        ),
        "policy.malformed": _denial(
            "The provider's policy engine answered something that is no decision.",
            "提供方的策略引擎给出的内容不是裁决。",
            *_ENGINE_MEND,
        ),
        "policy.builtin_error": _denial(
            "The provider's policy failed while it was evaluated.",
            "提供方的策略在求值时出错。",
            *_ENGINE_MEND,
        ),
        "policy.revision": _denial(
            "The provider's policy engine holds other policies than its node.",
            "提供方策略引擎中的策略与其节点不一致。",
            *_ENGINE_MEND,
        ),
    }
)
"""Every denial code, in the order in which a call meets them."""


def explained(codes: Iterable[str]) -> list[dict[str, str]]:
    """Return codes with what they mean and what mends it, for a person.

    A code that is not ours, from a partner's receipt, explains itself or does not.
    """
    return [
        {
            "code": code,
            "message": DENIALS[code].message.en if code in DENIALS else "",
            "mend": DENIALS[code].mend.en if code in DENIALS else "",
        }
        for code in codes
    ]
