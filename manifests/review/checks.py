"""Whether the recorded reviews make sense: each names what exists, and says what it decides."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from manifests.dataset import Dataset
from manifests.records import LENGTHS, Verdict
from manifests.sql import connect

_SAMPLE = 3
_VERDICTS = ", ".join(f"'{verdict.value}'" for verdict in Verdict)
_LENGTHS = ", ".join(f"'{length}'" for length in LENGTHS)
_RULES = {
    "a review has no verdict that Kinora knows": f"""
        SELECT review_id FROM r WHERE verdict NOT IN ({_VERDICTS})""",
    "a review is of media that was never cut": """
        SELECT review_id FROM r ANTI JOIN m USING (media_id) WHERE media_id <> ''""",
    "an edit has no text, or does not say which one it replaces": f"""
        SELECT review_id FROM r
        WHERE verdict = 'edit' AND (new_text IS NULL OR length NOT IN ({_LENGTHS}))""",
    "a new span has no start and end, or ends before it starts": """
        SELECT review_id FROM r WHERE verdict = 'span' AND coalesce(end_s <= start_s, true)""",
    "a withdrawal names no review and no action": """
        SELECT review_id FROM r WHERE verdict = 'withdraw' AND withdraws NOT IN (SELECT review_id FROM r)
        AND withdraws NOT IN (SELECT action FROM r WHERE action <> '')""",
    "one id has two different reviews": """
        SELECT review_id FROM (
            SELECT DISTINCT review_id, media_id, reviewer, verdict, length, new_text, withdraws FROM r)
        GROUP BY review_id HAVING count(*) > 1""",
}


def problems(dataset: Dataset) -> list[str]:
    """Return a sentence for each rule that rows of `reviews` break, with examples."""
    if not dataset.parts("reviews"):
        return []
    with connect() as connection:
        connection.register("r", dataset.read("reviews"))
        connection.register("m", dataset.read("media", ["media_id"]))
        found: list[str] = []
        for rule, sql in _RULES.items():
            names = [row[0] for row in connection.sql(sql).fetchall()]
            if names:
                shown = ", ".join(sorted(names)[:_SAMPLE]) + (", …" if len(names) > _SAMPLE else "")
                found.append(f"{rule}: {len(names)} ({shown})")
        return found
