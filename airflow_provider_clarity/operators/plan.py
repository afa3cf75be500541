"""What a backfill would do and cost, before anything is paid."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.operators.base import ClarityOperator
from airflow_provider_clarity.operators.checks import check_count
from airflow_provider_clarity.operators.errors import failing_for_good

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

ESTIMATE_KEY = "estimate"


class UpscalePlanOperator(ClarityOperator):
    """List what there is to upscale, find every collision, estimate the cost, and cut it into shards. Pays nothing.

    Give it the source, the destination and the parameters of the
    :class:`~airflow_provider_clarity.operators.batch.UpscaleBatchOperator` that is to follow, and map that one over
    what this one returns: ``.expand(shard=plan.output)``. An empty list skips it.

    :param source: as of the batch operator (templated)
    :param destination: a prefix that ends in ``/`` (templated)
    :param name_pattern: what pictures are called under the destination (templated)
    :param images_per_shard: how many images a shard is to buy, 10,000 where it is left out; more where there would be
        more than 1,024 shards
    :param max_cost_usd: a cap that is divided over the shards (templated)
    :param max_in_flight: of the batch operator, for the estimate of the time
    :param allow_upscaled_sources: take pictures that this package made as sources, too
    :return: the shards: ``{"v": 1, "start", "end", "to_do"}`` and, with a cap, ``"max_cost_usd"``. The XCom
        ``estimate`` is ``{"planned", "to_do", "done", "stale", "foreign", "passed_over", "cost_usd": {"low",
        "expected", "high"}, "basis", "seconds": {"low", "high"}}``
    """

    template_fields: Collection[str] = (
        "source",
        "destination",
        "settings",
        "workspace",
        "clarity_conn_id",
        "gcp_conn_id",
        "impersonation_chain",
        "max_cost_usd",
        "name_pattern",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json"}
    ui_color = "#fef7e0"

    def __init__(
        self,
        *,
        name_pattern: str = "{path}{stem}.{ext}",
        images_per_shard: int | None = None,
        max_cost_usd: float | str | None = None,
        max_in_flight: int = 32,
        allow_upscaled_sources: bool = False,
        **kwargs: Any,  # noqa: ANN401 - those of one image, and BaseOperator's
    ) -> None:
        super().__init__(**kwargs)
        self.name_pattern = name_pattern
        self.images_per_shard = images_per_shard
        self.max_cost_usd = max_cost_usd
        self.max_in_flight = max_in_flight
        self.allow_upscaled_sources = allow_upscaled_sources

    def execute(self, context: Context) -> Sequence[dict[str, Any]]:
        """Read both listings, and count."""
        with failing_for_good():
            return self._plan(context)

    def _plan(self, context: Context) -> Sequence[dict[str, Any]]:
        from airflow_provider_clarity.batch.money import micro_up, parse_max_cost  # noqa: PLC0415 - not at parse time
        from airflow_provider_clarity.batch.plan.estimate import estimate  # noqa: PLC0415
        from airflow_provider_clarity.batch.plan.survey import survey  # noqa: PLC0415
        from airflow_provider_clarity.operators.batch_wiring import Many, wanted_of  # noqa: PLC0415
        from airflow_provider_clarity.operators.wiring import open_access, run_key  # noqa: PLC0415

        parameters = self._parameters()
        check_count("max_in_flight", self.max_in_flight, at_least=1)
        if self.images_per_shard is not None:
            check_count("images_per_shard", self.images_per_shard, at_least=1)
        cap = parse_max_cost(self.max_cost_usd)
        many = Many(
            self.source, self.destination, self.name_pattern, allow_upscaled_sources=self.allow_upscaled_sources
        )
        access = open_access(
            ClarityHook(self.clarity_conn_id), self.gcp_conn_id, self.impersonation_chain, self.user_project
        )
        wanted = wanted_of(many, parameters, self._choices(), access, run_key(context))
        found = survey(access.store, wanted, images_per_shard=self.images_per_shard, cap=cap)
        told = estimate(
            found.counts,
            found.passed_over,
            costs=found.costs,
            expected_cost=micro_up(access.settings.expected_cost_usd),
            max_in_flight=self.max_in_flight,
        )
        context["ti"].xcom_push(key=ESTIMATE_KEY, value=told)
        shards = found.shards
        if self.images_per_shard is not None and shards.images_per_shard != self.images_per_shard:
            self.log.warning(
                "images_per_shard=%d would make more than 1,024 shards, which Airflow does not expand to by default. "
                "Taking %d.",
                self.images_per_shard,
                shards.images_per_shard,
            )
        self.log.info(
            "%d planned, %d to do in %d shard(s), %d done, %d stale, %d foreign. Expected cost $%.2f (%s).",
            told["planned"],
            told["to_do"],
            len(shards.shards),
            told["done"],
            told["stale"],
            told["foreign"],
            told["cost_usd"]["expected"],
            told["basis"],
        )
        return list(shards.shards)
