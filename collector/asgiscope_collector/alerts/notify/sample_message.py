"""A test notification, to check a receiver before it is needed."""

from asgiscope_collector.alerts.evaluate.loop import Alerting
from asgiscope_collector.alerts.notify.decide import Reason
from asgiscope_collector.alerts.notify.deliver import Verdict
from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert, group_key
from asgiscope_collector.alerts.state.store import DeliveryRow, Stage
from asgiscope_collector.queries.common.times import rfc3339


async def send(alerting: Alerting, receiver: str, now_ns: int) -> list[DeliveryRow]:
    """Send it once and record the outcome; return the recorded rows."""
    key = group_key({"alertname": "test"})
    notification = Notification(
        id=f"msg_test{now_ns:x}",
        receiver=receiver,
        reason=Reason.TEST,
        group_key=key,
        group_labels={"alertname": "test"},
        alerts=[
            NotifiedAlert(
                id=f"test-{now_ns}",
                fingerprint="0" * 16,
                status="firing",
                labels={"alertname": "test", "severity": "info", "service": "asgiscope-collector"},
                annotations={
                    "summary": "This is a test of a receiver: nothing is wrong.",
                    "since": rfc3339(now_ns),
                    "advice": "Nothing is to be done. If you can read this, alerts reach you.",
                },
                starts_ns=now_ns,
                ends_ns=0,
            )
        ],
        external_url=alerting.links.base,
    )

    def row(at_ns: int, stage: Stage) -> DeliveryRow:
        return DeliveryRow(
            at_ns=at_ns,
            id=notification.id,
            stage=stage,
            receiver=receiver,
            group_key=key,
            reason=Reason.TEST,
            firing=[notification.alerts[0].id],
        )

    answer = await alerting.sender.send(notification)
    done_ns = max(alerting.now_ns(), now_ns + 1)
    rows = [
        row(now_ns, Stage.DECIDED),
        DeliveryRow(
            at_ns=done_ns,
            id=notification.id,
            stage=Stage.ATTEMPT,
            receiver=receiver,
            group_key=key,
            reason=Reason.TEST,
            attempt=1,
            status=answer.status,
            answer=answer.text,
            took_ms=answer.took_ms,
        ),
        row(done_ns + 1, Stage.DELIVERED if answer.verdict == Verdict.DELIVERED else Stage.ABANDONED),
    ]
    # Recorded at once: a test is never resumed by a later process.
    await alerting.notifier.record(rows)
    return rows
