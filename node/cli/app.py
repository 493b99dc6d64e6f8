"""`fieldpact`: all commands of the command line."""

import typer

from ledger.verifier import verify
from node.cli import (
    aggregates,
    agreeing,
    asking,
    budget,
    chain,
    combining,
    company,
    consortium,
    jobs,
    keeping,
    keys,
    proving,
    sharing,
    streams,
)

app = typer.Typer(
    name="fieldpact",
    help="Field-level authorised views of shared customers, proved and receipted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (
    company.init,
    company.serve,
    agreeing.offer,
    agreeing.accept,
    sharing.align,
    asking.ask,
    aggregates.aggregate,
    proving.evidence,
    verify,
    proving.compare,
    proving.replay,
    streams.reconcile,
    budget.budget,
    jobs.jobs,
    keeping.fsck,
):
    app.command()(command)
app.command("deploy-contract")(company.deploy)
app.add_typer(company.partner, name="partner")
app.add_typer(consortium.app, name="consortium")
app.add_typer(keys.app, name="keys")
app.add_typer(chain.app, name="chain")
app.add_typer(sharing.dataset, name="dataset")
app.add_typer(agreeing.agreement, name="agreement")
app.add_typer(streams.alarms, name="alarms")
jobs.job.command("combine")(combining.combine)
app.add_typer(jobs.job, name="job")
app.add_typer(keeping.receipt, name="receipt")
app.add_typer(keeping.archive, name="archive")
app.add_typer(proving.conformance, name="conformance")
