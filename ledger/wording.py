"""What each outcome of a verification means, in words, in both languages.

Kept apart from the deciding (`ledger.verify`) so that the promises can be read,
and translated, on one page. The key is the step's name and its outcome; the
outcome fixes the step's state.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """How a step came out, weakest first.

    FAILED: what was checked is false. NOT_CHECKED: nobody looked, or could.
    PENDING: what would be checked does not exist yet. CHECKED: it holds.
    """

    FAILED = "failed"
    NOT_CHECKED = "not_checked"
    PENDING = "pending"
    CHECKED = "checked"


_STATES: Final = {
    "checked": State.CHECKED,
    "nobody": State.CHECKED,
    "part": State.CHECKED,
    "sealed": State.CHECKED,
    "pending": State.PENDING,
    "failed": State.FAILED,
}


def state_of(outcome: str) -> State:
    """Return the state that an outcome amounts to."""
    return _STATES.get(outcome, State.NOT_CHECKED)


WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "receipt.checked": (
        "The receipt is well formed and has the id it is known by.",
        "回执格式正确，编号与内容相符。",
    ),
    "receipt.failed": (
        "The receipt does not parse, or is not the one that was asked for.",
        "回执无法解析，或不是所查询的那一份。",
    ),
    "provider_signature.checked": (
        "The provider signed the receipt with its pinned key.",
        "提供方已用登记在册的公钥签署回执。",
    ),
    "provider_signature.embedded": (
        "The signature fits a key that only the file itself says is the provider's.",
        "签名与一个公钥相符，但该公钥属于提供方仅为文件自称。",
    ),
    "provider_signature.unknown": (
        "No key of this provider is pinned here, so nothing was checked.",
        "本地没有该提供方的登记公钥，未作核验。",
    ),
    "provider_signature.failed": (
        "The provider did not sign this receipt.",
        "提供方并未签署这份回执。",
    ),
    "countersignature.checked": (
        "The consumer signed the receipt back: this is what it asked and got.",
        "使用方已回签，确认请求与所得一致。",
    ),
    "countersignature.embedded": (
        "The signature fits a key that only the file itself says is the consumer's.",
        "回签与一个公钥相符，但该公钥属于使用方仅为文件自称。",
    ),
    "countersignature.unknown": (
        "No key of this consumer is pinned here, so nothing was checked.",
        "本地没有该使用方的登记公钥，未作核验。",
    ),
    "countersignature.pending": (
        "The consumer has not signed the receipt back yet.",
        "使用方尚未回签。",
    ),
    "countersignature.nobody": (
        "The call was refused without knowing the caller; there is nobody to sign.",
        "调用方身份不明且已被拒绝，无人可回签。",
    ),
    "countersignature.failed": (
        "The consumer did not sign this receipt back.",
        "使用方并未回签这份回执。",
    ),
    "stream.lost": (
        "The answer was lost on the way; its receipt was fetched, and tells our call.",
        "答复在途中丢失；回执已补取，所述确为我方的调用。",
    ),
    "stream.never_asked": (
        "We have no record of this call, and the provider shows no request of ours.",
        "我方没有这次调用的记录，提供方也拿不出我方签名的请求。",
    ),
    "stream.failed": (
        "The receipt contradicts one that the same provider signed before.",
        "该回执与同一提供方此前签署的回执相矛盾。",
    ),
    "inclusion.checked": (
        "The receipt is in the log under the checkpoint's root.",
        "回执已包含在检查点所对应的日志中。",
    ),
    "inclusion.unknown": (
        "No key of this log is known here, so not what it is hashed with either.",
        "本地没有该日志的公钥，也就不知其所用的杂凑算法，未作核验。",
    ),
    "inclusion.pending": (
        "The receipt has its place, but is not in the tree yet.",
        "回执已排序，尚未并入日志树。",
    ),
    "inclusion.failed": (
        "The receipt is not in the log at this place.",
        "日志的该位置上没有这份回执。",
    ),
    "checkpoint.checked": (
        "The provider's log signed the checkpoint.",
        "检查点由提供方的日志签署。",
    ),
    "checkpoint.unknown": (
        "No key of this log is known here, so the checkpoint was not checked.",
        "本地没有该日志的公钥，未核验检查点。",
    ),
    "checkpoint.pending": (
        "No checkpoint covers the receipt yet.",
        "尚无检查点覆盖这份回执。",
    ),
    "checkpoint.failed": (
        "The provider's log did not sign this checkpoint.",
        "提供方的日志并未签署该检查点。",
    ),
    "consistency.checked": (
        "The anchored log begins with everything the checkpoint covers.",
        "已锚定的日志完整延续了检查点的全部内容。",
    ),
    "consistency.unknown": (
        "No key of this log is known here, so the anchored checkpoint was not checked.",
        "本地没有该日志的公钥，未核验已锚定的检查点。",
    ),
    "consistency.pending": (
        "No anchored checkpoint covers the receipt yet.",
        "尚无已锚定的检查点覆盖这份回执。",
    ),
    "consistency.failed": (
        "The anchored log does not continue this one: entries were changed or removed.",
        "已锚定的日志与此不连续：有条目被改动或删除。",
    ),
    "anchor.checked": (
        "The anchored commitment opens to the anchored checkpoint.",
        "锚定承诺与已锚定的检查点相符。",
    ),
    "anchor.pending": (
        "The checkpoint is not anchored yet.",
        "检查点尚未锚定。",
    ),
    "anchor.failed": (
        "The anchored commitment is to something else.",
        "锚定承诺对应的是其他内容。",
    ),
    "chain.checked": (
        "The chain holds this commitment, written by the provider's account.",
        "链上存有该承诺，由提供方账户写入。",
    ),
    "chain.pending": (
        "Nothing is anchored yet, so there is nothing to ask the chain.",
        "尚未锚定，无需查询链上记录。",
    ),
    "chain.not_asked": (
        "Chain not checked: none was asked. So far only the file says it is anchored.",
        "未核验链上记录：未查询任何链，锚定仅为文件自称。",
    ),
    "chain.unreachable": (
        "Chain not checked: it did not answer.",
        "未核验链上记录：链未应答。",
    ),
    "chain.elsewhere": (
        "Chain not checked: the file speaks of another chain or contract.",
        "未核验链上记录：文件所述的链或合约与所查询的不同。",
    ),
    "anchor.unknown": (
        "No key of this log is known here, so not what it is hashed with either.",
        "本地没有该日志的公钥，也就不知其所用的杂凑算法，未作核验。",
    ),
    "chain.unknown": (
        "Chain not checked: the account of this provider is not known here.",
        "未核验链上记录：本地没有该提供方的账户。",
    ),
    "chain.failed": (
        "The chain does not hold this commitment for this provider and epoch.",
        "链上没有该提供方在该周期的此项承诺。",
    ),
    "request.checked": (
        "The receipt tells the call exactly as it was made.",
        "回执与实际发出的请求完全一致。",
    ),
    "request.failed": (
        "The receipt tells another call than the one that was made.",
        "回执记载的请求与实际发出的不一致。",
    ),
    "request_signature.checked": (
        "The consumer signed for this call when it asked.",
        "使用方在请求时已为本次调用签名。",
    ),
    "request_signature.embedded": (
        "The request fits a key that only the file itself says is the consumer's.",
        "请求的签名与一个公钥相符，但该公钥属于使用方仅为文件自称。",
    ),
    "request_signature.unknown": (
        "No key of this consumer is pinned here, so its request was not checked.",
        "本地没有该使用方的登记公钥，未核验其请求。",
    ),
    "request_signature.failed": (
        "The consumer did not sign for this call.",
        "使用方并未为本次调用签名。",
    ),
    "witnesses.checked": (
        "So many of the pinned witnesses cosigned the checkpoint.",
        "已登记的见证方中，为该检查点见证签名的数目如下。",
    ),
    "witnesses.pending": (
        "No checkpoint covers the receipt yet, so no witness could cosign one.",
        "尚无检查点覆盖这份回执，见证方无从签名。",
    ),
    "witnesses.unknown": (
        "No witness is pinned here, so no cosignature was checked.",
        "本地没有登记任何见证方，未核验见证签名。",
    ),
    "witnesses.failed": (
        "Fewer witnesses cosigned the checkpoint than are asked for, or one did not.",
        "为检查点见证签名的见证方少于要求，或其中一个签名不成立。",
    ),
    "keys.checked": (
        "Every key held, by the consortium's registry, when the receipt was anchored.",
        "按联盟登记，回执锚定时所用公钥全部有效。",
    ),
    "keys.pending": (
        "Nothing is anchored yet, so there is no time at which keys must have held.",
        "尚未锚定，没有可据以核对公钥有效期的时间。",
    ),
    "keys.not_asked": (
        (
            "Keys not checked on chain: no registry was asked. Since when they held is "
            "only what the file says."
        ),
        "未核验链上公钥登记：未查询登记合约，公钥有效期仅为文件自称。",
    ),
    "keys.unreachable": (
        "Keys not checked on chain: the registry did not answer.",
        "未核验链上公钥登记：登记合约未应答。",
    ),
    "keys.elsewhere": (
        "Keys not checked on chain: the file speaks of another chain or registry.",
        "未核验链上公钥登记：文件所述的链或登记合约与所查询的不同。",
    ),
    "keys.unknown": (
        "No key of this provider is pinned here, so none was looked up.",
        "本地没有该提供方的登记公钥，未查询登记。",
    ),
    "keys.failed": (
        (
            "A key did not hold when the receipt was anchored, or the registry tells "
            "otherwise than the file."
        ),
        "回执锚定时有公钥无效，或登记内容与文件不符。",
    ),
    "manifest.checked": (
        "The exporter signed what this file holds with its pinned key.",
        "导出方已用登记在册的公钥签署文件清单。",
    ),
    "manifest.embedded": (
        "The manifest fits a key that only the file itself says is the exporter's.",
        "清单的签名与一个公钥相符，但该公钥属于导出方仅为文件自称。",
    ),
    "manifest.unknown": (
        "No key of the exporter is pinned here, so its manifest was not checked.",
        "本地没有导出方的登记公钥，未核验清单。",
    ),
    "manifest.failed": (
        "The exporter did not sign this manifest, or it does not parse.",
        "导出方并未签署这份清单，或清单无法解析。",
    ),
    "complete.checked": (
        (
            "Complete: every receipt of the stream is here up to the head as signed, "
            "without a gap, and each names the one before."
        ),
        "完整：回执流截至所签流首的全部回执均在此，编号无缺，且逐一指向前一份。",
    ),
    "complete.part": (
        (
            "Complete between these numbers, without a gap, and each receipt names the "
            "one before; the stream has others."
        ),
        "所列编号之间完整无缺，且每份回执逐一指向前一份；回执流另有其他回执。",
    ),
    "complete.erased": (
        "No number is missing, but the exporter erased what some receipts say.",
        "编号无缺，但导出方已删除其中部分回执的内容。",
    ),
    "complete.failed": (
        "Not complete: receipts are missing, or stand where they cannot.",
        "不完整：有回执缺失，或所处位置不成立。",
    ),
    "disclosure.checked": (
        "This is what the receipt says, of records that the provider committed to.",
        "披露与证明的内容同回执相符，且出自提供方已承诺的记录。",
    ),
    "disclosure.unknown": (
        "No key of this provider is known here, so the values were not checked.",
        "本地没有该提供方的公钥，未核验披露内容。",
    ),
    "disclosure.failed": (
        "What was disclosed is not what the receipt says, or not what was committed.",
        "披露内容与回执不符，或不是提供方所承诺的记录。",
    ),
    "answer.checked": (
        "This is what the receipt says that the step was answered with.",
        "答复内容与回执所记一致。",
    ),
    "answer.sealed": (
        (
            "The receipt fixes by its hash what the step was answered with; the file "
            "does not hold the answer, so the two were not compared."
        ),
        "回执以杂凑值固定了该步骤的答复；文件不含答复内容，未作比对。",
    ),
    "answer.failed": (
        "The step was answered with something else than the receipt says.",
        "该步骤的答复与回执所记不符。",
    ),
    "plan.checked": (
        "The consumer signed the plan, and the receipt is of a step of it.",
        "计划由使用方签署，回执所记为该计划的步骤。",
    ),
    "plan.embedded": (
        "The plan fits a key that only the file itself says is the consumer's.",
        "计划的签名与一个公钥相符，但该公钥属于使用方仅为文件自称。",
    ),
    "plan.unknown": (
        "No key of this consumer is pinned here, so its plan was not checked.",
        "本地没有该使用方的登记公钥，未核验其计划。",
    ),
    "plan.failed": (
        "The consumer did not sign this plan, or the receipt is of no step of it.",
        "使用方并未签署该计划，或回执所记并非该计划的步骤。",
    ),
    "snapshot.checked": (
        "The commitment to these records is anchored; since then it is fixed.",
        "对这些记录的承诺已锚定上链，此后无法更换。",
    ),
    "snapshot.pending": (
        "The commitment to these records is signed, and not anchored yet.",
        "对这些记录的承诺已签署，尚未锚定上链。",
    ),
    "snapshot.untold": (
        "The file does not say where the commitment to these records stands.",
        "文件未说明对这些记录的承诺位于日志何处。",
    ),
    "snapshot.not_asked": (
        "Commitment not checked on chain: no chain was asked.",
        "未核验链上承诺：未查询任何链。",
    ),
    "snapshot.unreachable": (
        "Commitment not checked on chain: it did not answer.",
        "未核验链上承诺：链未应答。",
    ),
    "snapshot.elsewhere": (
        "Commitment not checked on chain: the file names another chain or contract.",
        "未核验链上承诺：文件所述的链或合约与所查询的不同。",
    ),
    "snapshot.unknown": (
        "Commitment not checked: no key of this provider is known here.",
        "未核验承诺：本地没有该提供方的公钥。",
    ),
    "snapshot.failed": (
        "The commitment to these records is not logged or anchored as is said.",
        "对这些记录的承诺并未如所述入日志或锚定。",
    ),
    "openings.checked": (
        "The customers named are those that the tokens mean.",
        "所列客户与令牌相符。",
    ),
    "openings.failed": (
        "A token does not mean the customer that is named.",
        "令牌与所列客户不符。",
    ),
    "fork.checked": (
        "The two cannot both be so: the stream has two histories.",
        "两者不可能同时成立：该回执流有两段历史。",
    ),
    "fork.failed": (
        "This does not show two histories of a stream.",
        "这并未表明回执流有两段历史。",
    ),
    "fork_receipts.checked": (
        "The provider signed each receipt that is shown, with its pinned key.",
        "所示回执均由提供方以登记在册的公钥签署。",
    ),
    "fork_receipts.unknown": (
        "No key of this provider is pinned here, so nothing was checked.",
        "本地没有该提供方的登记公钥，未作核验。",
    ),
    "fork_receipts.failed": (
        "The provider did not sign a receipt that is shown.",
        "所示回执并非由提供方签署。",
    ),
    "fork_heads.checked": (
        "The provider signed that it has no such receipt, when shown its signature.",
        "提供方在看到自己的签名后，仍签署称没有这份回执。",
    ),
    "fork_heads.unknown": (
        "No key of this provider is pinned here, so its answer was not checked.",
        "本地没有该提供方的登记公钥，未核验其答复。",
    ),
    "fork_heads.failed": (
        "The provider did not sign the answer that is shown.",
        "所示答复并非由提供方签署。",
    ),
    "equivocation.checked": (
        "The file shows two checkpoints of one size that no one log can have.",
        "文件所示两份检查点大小相同而根不同，不可能出自同一日志。",
    ),
    "equivocation.failed": (
        "This does not show two histories of a log.",
        "这并未表明日志有两段历史。",
    ),
    "equivocation_notes.checked": (
        "The participant's log signed both, with its pinned key.",
        "两份检查点均由该成员的日志以登记在册的公钥签署。",
    ),
    "equivocation_notes.unknown": (
        "No key of this participant is pinned here, so nothing was checked.",
        "本地没有该成员的登记公钥，未作核验。",
    ),
    "equivocation_notes.failed": (
        "The participant's log did not sign both checkpoints.",
        "两份检查点并非均由该成员的日志签署。",
    ),
}
