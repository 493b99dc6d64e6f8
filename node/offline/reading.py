"""Reading a CRM without a node: to examine a dataset, and to tell who customers are."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from node.adapters.crm.declaration import load_declaration, located
from node.adapters.crm.opening import open_source
from node.config import environment
from node.domain.checking import InvalidDeclaration, did_you_mean
from node.domain.customer import rule_problem
from node.domain.dataset import Source
from node.domain.declaration import FILES, dataset_to_json
from node.domain.preview import preview
from node.domain.publication import check_columns, customers_in, examine
from node.errors import BadRequest


def examine_file(
    file: Path, agreement: Mapping[str, str] | None, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Examine a declared dataset without a node, and preview what is seen of it.

    Args:
        agreement: Mode by field, to preview what a partner would see; or None.
        progress: Called with the number of rows read so far.

    Raises:
        BadRequest: The declaration has mistakes, each with its line and mend.
        Unavailable: The source did not answer.
    """
    dataset = load_declaration(file)
    source = open_source(dataset.source, environment())
    try:
        check_columns(dataset, source.check())
        report = examine(dataset, source, progress=progress)
    except InvalidDeclaration as error:
        raise located(error, file) from None
    finally:
        source.close()
    return preview(dataset, report, agreement)


def read_declaration(file: Path) -> dict[str, Any]:
    """Return a declaration file as the management API takes it.

    Raises:
        BadRequest: It has mistakes, each with its line and mend.
    """
    return dataset_to_json(load_declaration(file))


def read_customers(
    file: Path, column: str, rule: str
) -> tuple[set[str], Mapping[str, int]]:
    """Read who a company's customers are, from its CRM.

    Args:
        file: A dataset's declaration, which says where and how; or a CSV or
            Parquet file.
        column: Of such a file; what identifies a customer.
        rule: For such a file.

    Returns:
        The normalised keys; and how many rows have none, by what is wrong.

    Raises:
        BadRequest: The declaration, the column or the rule is wrong.
        Unavailable: The source did not answer.
    """
    if file.suffix.lower() in FILES:
        if problem := rule_problem(rule):
            raise BadRequest("rule.unknown", f"`{rule}` is no rule; {problem}.")
        place = Source(url=str(file.resolve()), relation="", record=column)
    else:
        declared = load_declaration(file)
        column, rule = declared.customer.column, declared.customer.rule
        place = declared.source
    with closing(open_source(place, environment())) as source:
        columns = source.check().columns
        if column not in columns:
            mend = did_you_mean(column, columns)
            raise BadRequest("column.unknown", f"{file} has no `{column}`; {mend}.")
        return customers_in(source, column, rule)
