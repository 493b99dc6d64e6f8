"""The story: a battery supplier reads from a car maker what was agreed, no more.

Each step says who asks what. What must come back is written beside it, and the
story stops where something else does.
"""

import json
import time
from collections.abc import Collection
from typing import Any, Final

from crypto.encoding import b64u
from examples.demo.calls import Calls
from examples.demo.companies import MAKER, SUPPLIER
from examples.demo.consortium import Consortium, Member
from examples.demo.customers import credit_code
from examples.demo.narration import Teller
from examples.desk import Terms, instant
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import load_keys
from node.adapters.system import SystemClock, system_randomness
from node.domain.disclosure import Request

SHORT_S: Final = 8
"""How long the agreement holds that runs out during the story."""
HOURLY: Final = 2
"""Calls an hour of the agreement that is used up during the story."""
FEW: Final = 24
"""Customers that are declared under those two."""
STEP: Final = 100_000
"""Bounds on hidden amounts are multiples of it."""
PROBES: Final = 4
"""How many different ones may ever be asked about, of one customer."""
MOST: Final = 10_000_000
"""No amount is higher, as everybody in the trade knows."""

_SHARED: Final = [code for code in MAKER.records if code in SUPPLIER.records]
_MAKERS_OWN: Final = next(code for code in MAKER.records if code not in _SHARED)
_NOBODYS: Final = credit_code(9000)


class Story:
    """Plays on a consortium whose chain runs, and whose nodes do not yet."""

    def __init__(self, world: Consortium, tell: Teller) -> None:
        self.world, self.tell = world, tell
        self.nodes = world.federation
        self.maker, self.supplier, self.operator = world.members
        self.calls = Calls(tell)

    def open(self) -> None:
        """Start two nodes; publish, agree; the first answer.

        Raises:
            Unexpected: As in every part, something did not go as it must.
            NotStarted: A node did not come up.
        """
        self.tell.table(
            ("", "company", "its CRM"),
            *((role, each.name, each.company.file) for role, each in self._cast()),
        )
        self.tell.chapter("A consortium")
        self.tell.step(
            "The three found it: a contract on their chain holds who is a member and "
            "which keys each has. Who joins or leaves, two of three decide."
        )
        held = {did: len(each.keys) for did, each in self.world.held().items()}
        self.tell.good(f"{len(held)} members, {sum(held.values())} keys registered")
        self.tell.chapter("An agreement")
        with self.tell.waiting("starting the car maker's and the supplier's nodes"):
            self.nodes.start("maker", "supplier")
            self.nodes.await_ready("maker", "supplier")
        self.tell.step("The car maker publishes its vehicle projects.")
        self._publish(self.maker)
        self.tell.step(
            "It offers project_stage and expected_acceptance_date to its battery "
            "supplier, for joint delivery. Of contract_value, which it shows nobody, "
            "it offers proofs. The supplier accepts, and both sign."
        )
        hidden = {
            "field": MAKER.amount_field,
            "operators": ["at_least", "at_most"],
            "step": f"{STEP}.00",
            "probes": PROBES,
        }
        self.main = self._agree(self.maker, self.supplier, predicates=[hidden])
        self.tell.step("The supplier asks about a customer that both know.")
        self._ask(_SHARED[0])

    def _cast(self) -> tuple[tuple[str, Member], ...]:
        roles = "car maker", "battery supplier", "charging operator"
        return tuple(zip(roles, self.world.members, strict=True))

    def ask(self) -> None:
        """Ask for what was agreed, and for what was not."""
        self.tell.chapter("What was agreed, and what was not")
        self.nodes.start("operator")
        self.world.start_dashboards()
        self.tell.step("It asks about four customers at once. One is not shared.")
        self._ask(*_SHARED[1:4], _MAKERS_OWN)
        self.tell.step("It asks for the telephone number of the contact as well.")
        fields = (*MAKER.fields, "contact_phone")
        self._ask(_SHARED[0], fields=fields, expect="field.not_granted")
        self.tell.step("It asks about a customer that only the car maker has.")
        self._ask(_MAKERS_OWN, expect="customer.not_shared")
        self.tell.step("It asks about a customer that nobody has: the same answer.")
        self._ask(_NOBODYS, expect="customer.not_shared")
        self.tell.step("It asks for another purpose than was agreed: service quality.")
        self._ask(_SHARED[0], purpose="service-quality", expect="purpose.mismatch")

    def prove(self) -> None:
        """Ask about amounts that nobody is shown.

        Raises:
            Unexpected: As everywhere.
        """
        self.tell.chapter("What is proved, and never shown")
        self.tell.step(
            "It asks which of five projects are worth 5 million or more, and for the "
            "stage of those."
        )
        self._ask(*_SHARED[14:19], fields=[MAKER.stage_field], at_least=_yuan(MOST / 2))
        self.tell.more("Of the others it learns no stage, and of no one the amount.")
        self.tell.step("It asks for the amount itself.")
        self._ask(_SHARED[14], fields=[MAKER.amount_field], expect="field.mode")
        self.tell.step(f"It asks with a bound between two multiples of {STEP:,}.")
        fine = _yuan(MOST / 2 + 1)
        self._ask(_SHARED[14], fields=[], at_least=fine, expect="predicate.granularity")
        self.tell.step("It halves what is left of the first amount, again and again.")
        least, most = self._halve(_SHARED[14])
        self._ask(
            _SHARED[14],
            fields=[],
            at_least=_yuan(_middle(least, most)),
            expect="predicate.exhausted",
        )
        self.tell.more(
            f"It knows now that the amount lies between {least:,} and {most:,}. "
            "Under this agreement it cannot ask more."
        )

    def _halve(self, customer: str) -> tuple[int, int]:
        """Ask about the amount of a customer until no probe is left."""
        least, most = 0, MOST
        for number in range(PROBES):
            bound = _middle(least, most)
            answer = self._ask(customer, fields=[], at_least=_yuan(bound), brief=True)
            ((record,),) = answer["customers"].values()
            least, most = (bound, most) if record["proved"] else (least, bound)
            word = "proved" if record["proved"] else "not proved"
            again = " (asked before, so it counts once)" if number == 0 else ""
            self.tell.good(f"{MAKER.amount_field} ≥ {bound:,}: {word}{again}")
        return least, most

    def attack(self) -> None:
        """Somebody who hears everything tries what can be tried with it."""
        self.tell.chapter("Somebody on the line")
        self.tell.more(
            "Here the companies speak plain HTTP. Between machines it is TLS."
        )
        self.tell.step("The supplier asks again, and somebody listens.")
        self._ask(_SHARED[4])
        heard = self.maker.tap.heard(f"/views/{MAKER.dataset}/query")
        self.tell.step("They send the very same bytes once more.")
        self._send(heard.authorization, heard.body, expect="nonce.replayed")
        self.tell.step("They use the supplier's token to ask for telephone numbers.")
        question = json.loads(heard.body) | {"fields": ["contact_phone"]}
        body = json.dumps(question).encode()
        self._send(heard.authorization, body, expect="token.request_mismatch")
        self.tell.step(
            "The charging operator asks under the supplier's agreement, with a "
            "token of its own."
        )
        token = self._token(self.operator, json.loads(heard.body))
        self._send(token, heard.body, expect="agreement.not_party")

    def wear_out(self) -> None:
        """Begin an agreement that ends soon, and use up the calls of another."""
        self.tell.chapter("Limits")
        self.tell.step(f"An agreement that ends in {SHORT_S} seconds still holds.")
        self.ends_at, end = time.time() + SHORT_S, instant(SHORT_S)
        few = _SHARED[:FEW]
        self.short = self._agree(self.maker, self.supplier, few, valid_to=end)
        self._ask(_SHARED[5], agreement=self.short)
        self.tell.step(f"An agreement allows {HOURLY} calls an hour.")
        hourly = self._agree(self.maker, self.supplier, few, calls_per_hour=HOURLY)
        _pass_the_hour()
        for code in _SHARED[6 : 6 + HOURLY]:
            self._ask(code, agreement=hourly)
        self.tell.step("The supplier makes one call more.")
        self._ask(_SHARED[0], agreement=hourly, expect="rate.exceeded")

    def turn_round(self) -> None:
        """Everybody is a provider, too."""
        self.tell.chapter("The other way round")
        with self.tell.waiting("waiting for the charging operator's node"):
            self.nodes.await_ready("operator")
        for provider in (self.supplier, self.operator):
            self.tell.step(f"{provider.name} publishes, and the car maker asks.")
            self._publish(provider)
            agreement = self._agree(provider, self.maker)
            shared = next(
                code for code in MAKER.records if code in provider.company.records
            )
            self.calls.ask(self.maker, provider, [shared], agreement=agreement)

    def outlive(self) -> None:
        """Ask once more under the agreement that was to end."""
        self.tell.chapter("Later")
        self.tell.step("The short agreement has ended. The supplier asks once more.")
        with self.tell.waiting("until it has ended"):
            time.sleep(max(0.0, self.ends_at - time.time()))
        self._ask(_SHARED[5], agreement=self.short, expect="agreement.expired")

    def _ask(self, *customers: str, agreement: str = "", **more: Any) -> dict[str, Any]:
        """Ask as the supplier, under the main agreement if no other is named."""
        agreement = agreement or self.main
        return self.calls.ask(
            self.supplier, self.maker, customers, agreement=agreement, **more
        )

    def _send(self, token: str, body: bytes, *, expect: str) -> None:
        self.calls.send(self.maker, token, body, expect=expect)

    def _publish(self, provider: Member) -> None:
        report = provider.desk.publish(provider.company.declaration)
        self.tell.good(
            f"{report['publishable']:,} of {report['rows']:,} records are sound, "
            f"of {report['customers']:,} customers"
        )

    def _agree(
        self,
        provider: Member,
        consumer: Member,
        customers: Collection[str] = (),
        **terms: Any,
    ) -> str:
        """Agree on what the provider shares; have it commit to the shared records.

        Args:
            provider: Who offers.
            consumer: Who accepts.
            customers: That the consumer declares; all that it has, if not told.
            terms: Others than those of `Terms`.
        """
        company = provider.company
        offered = Terms(dataset=company.dataset, fields=company.fields, **terms)
        agreement = provider.desk.agree(consumer.desk, offered)
        brief = agreement.removeprefix("urn:uuid:")[:8]
        self.tell.good("agreed, and signed by both", f"agreement {brief}")
        customers = customers or consumer.company.records
        sent = consumer.desk.declare(agreement, customers)
        self.tell.good(f"{len(customers):,} customers declared, as {sent:,} tokens")
        with self.tell.waiting("the provider commits to the records that both know"):
            committed, took_s = self._await_snapshot(provider, agreement)
        self.tell.good(
            f"{committed:,} records committed to, before anybody asks",
            f"{took_s:.1f} s",
        )
        return agreement

    def _await_snapshot(self, provider: Member, agreement: str) -> tuple[int, float]:
        """Wait until an agreement can be answered under; how many records, how long.

        Raises:
            NotStarted: It took too long.
        """
        began, dataset = time.monotonic(), provider.company.dataset
        committed = self.nodes.await_snapshot(provider.key, dataset, agreement)
        return committed, time.monotonic() - began

    def _token(self, member: Member, question: dict[str, Any]) -> str:
        """Issue a token with a company's own key, for a question to the car maker."""
        settings = member.desk.settings
        identity = RegistryIdentity(
            settings.participants,
            did=settings.did,
            signer=load_keys(settings.keys, {}).ed25519,
            clock=SystemClock(),
        )
        token = identity.issue(
            audience=self.maker.desk.did,
            bound_to=Request.from_body(MAKER.dataset, question).hash,
            agreement=question["agreement"],
            nonce=b64u(system_randomness(32)),
        )
        return f"Bearer {token}"


def _middle(least: int, most: int) -> int:
    """Return the mark in the middle between two."""
    return (least + most) // 2 // STEP * STEP


def _yuan(amount: float) -> str:
    return f"{amount:.2f}"


def _pass_the_hour() -> None:
    """Wait where the clock is about to strike: the calls of an hour begin anew."""
    left = 3600 - time.time() % 3600
    if left < 10:
        time.sleep(left)
