"""What is broken so that alerts fire, and how it is mended. Each function begins with the sentence that says what it does;
at each `yield` it waits until these alerts fire, and goes on. Those of one group are played at the same time, group after
group. For scripts/alerts. Standard library only.
"""

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator

from alerts_stage import stand_in
from alerts_world import World, session, sql, wait

Steps = Iterator[tuple[str, ...]]


@dataclasses.dataclass(eq=False)
class Trouble:
    group: int
    alerts: frozenset[str]
    play: Callable[[World], Steps]


# These start relays anew, and what was counted is forgotten: they begin when nothing fires any more.
STARTING_ANEW = {5, 6, 7}
TROUBLES: list[Trouble] = []


def provokes(group: int, *alerts: str):
    def register(play):
        TROUBLES.append(Trouble(group, frozenset(alerts), play))
        return play
    return register


# Group 0: each is somebody's own, and the relays work on.

@provokes(0, "RelayPartnerUnheard")
def unheard(world: World) -> Steps:
    """Pusher never confirms a new partner's channel; then it does"""
    with world.partner(is_confirmed=False) as partner:
        yield ("RelayPartnerUnheard",)
        world.pusher.unconfirmed.discard(partner.key)
        partner.wait_until_heard()


@provokes(0, "RelayGapsUnrepaired")
def unrepaired(world: World) -> Steps:
    """a new partner's channel is confirmed some seconds late, and Transak's REST API answers 500 about it; then 200"""
    with world.partner(is_confirmed=False) as partner:
        world.transak.fails_for.add(partner.key)
        wait(lambda: world.unrepaired(partner), "a gap")
        world.pusher.unconfirmed.discard(partner.key)
        partner.wait_until_heard()
        yield ("RelayGapsUnrepaired",)
        world.transak.fails_for.discard(partner.key)
        wait(lambda: not world.unrepaired(partner), "a repaired gap", 180)


@provokes(0, "RelayTokenExpires")
def token(world: World) -> Steps:
    """a new partner's access token ends in an hour; then the partner is deleted"""
    with world.partner(lives=3600):
        yield ("RelayTokenExpires",)


@provokes(0, "RelayQuarantineGrows")
def grows(world: World) -> Steps:
    """30 webhooks that nobody's token has signed; then they are deleted"""
    with world.partner() as partner:
        for _ in range(30):
            partner.post(signed_with="nobody's token")
        yield ("RelayQuarantineGrows",)
        world.call(f"/v1/quarantine?partnerId={partner.id}", method="DELETE")


@provokes(0, "RelayDeliveriesLate", "RelayDeliveriesSlow")
def slow(world: World) -> Steps:
    """an endpoint takes 6 s for each of 40 callbacks, one at a time; then it answers at once"""
    with world.partner() as partner, world.endpoint(partner, "/slow", pause=6, maxInFlight=1):
        partner.publish(40)
        yield "RelayDeliveriesLate", "RelayDeliveriesSlow"
        world.receivers.url("/slow")
        wait(lambda: not world.call(f"/v1/deliveries?partnerId={partner.id}&state=pending")["data"], "40 deliveries")


@provokes(0, "RelayDeliveriesExhausted")
def exhausted(world: World) -> Steps:
    """an endpoint answers 500, and its schedule has one retry after a second"""
    with world.partner() as partner, world.endpoint(partner, "/failing", status=500, retrySchedule=[1]):
        partner.publish(1)
        yield ("RelayDeliveriesExhausted",)


@provokes(0, "RelayEndpointsPaused")
def paused(world: World) -> Steps:
    """an endpoint does not answer within its timeoutMs; then it does"""
    with world.partner() as partner, world.endpoint(partner, "/hanging", pause=60, timeoutMs=2000) as endpoint:
        partner.publish(20)
        yield ("RelayEndpointsPaused",)
        world.receivers.url("/hanging")
        world.call(f"/v1/endpoints/{endpoint}/test", {})


@provokes(0, "RelayEndpointsHolding")
def holding(world: World) -> Steps:
    """an endpoint answers 410, which disables it, and another event is held for it; then it is deleted"""
    with world.partner() as partner, world.endpoint(partner, "/gone", status=410) as endpoint:
        partner.publish(1)
        wait(lambda: world.call(f"/v1/endpoints/{endpoint}")["state"] == "disabled", "a disabled endpoint")
        partner.publish(1)
        yield ("RelayEndpointsHolding",)


@provokes(0, "RelayHeldBacklog")
def backlog(world: World) -> Steps:
    """60 endpoints are disabled by hand, and 90 events held for each; then their partner is deleted"""
    with world.partner() as partner:
        for number in range(60):
            made = world.call("/v1/endpoints", {"url": world.receivers.url(f"/off/{number}"), "partnerId": partner.id})
            world.call(f"/v1/endpoints/{made['id']}/disable", method="POST")
        partner.publish(90)
        yield ("RelayHeldBacklog",)


@provokes(0, "RelayClockOff")
def clock(world: World) -> Steps:
    """the `Date` of Transak's REST API is ten minutes off; then it is right"""
    with world.partner() as partner:
        partner.publish(5, status="PROCESSING")
        world.transak.ahead = 600
        yield ("RelayClockOff",)
        world.transak.ahead = 0
        # As long as somebody asks Transak, its clock is known.
        world.wait_until_over("RelayClockOff")


@provokes(0, "RelayMetricsMissing")
def empty(world: World) -> Steps:
    """a process of the job answers and shows nothing (nearest: a stand-in; a relay whose sampler hangs cannot be made)"""
    with stand_in() as port:
        world.prometheus.scrape(port)
        yield ("RelayMetricsMissing",)
        world.prometheus.scrape()


@provokes(0, "RelayOldTransaction")
def transaction(world: World) -> Steps:
    """somebody's console has a transaction open; then it is closed"""
    with session("begin; select now()"):
        yield ("RelayOldTransaction",)


@provokes(0, "RelayMaintenanceStopped")
def maintenance(world: World) -> Steps:
    """a session holds the lock of maintenance and does nothing, as a frozen process would; then it ends"""
    with session("select pg_advisory_lock(lock_key('maintenance'))"):
        yield ("RelayMaintenanceStopped",)


@provokes(0, "RelayPartitionsMissing")
def partitions(world: World) -> Steps:
    """100,001 sightings of a month ahead, for which there is no partition (nearest: written by SQL); then they are deleted"""
    sql("insert into sighting select gen_random_uuid(), gen_random_uuid(), 'stream', now() + interval '1 month', true "
        "from generate_series(1, 100001)")
    yield ("RelayPartitionsMissing",)
    sql("delete from sighting where at > now() + interval '20 days'")


# Group 1: the quarantine.

@provokes(1, "RelayQuarantineRefuses")
def refuses(world: World) -> Steps:
    """70 MB on the stream that no token verifies, more than the quarantine's room; then it is emptied"""
    with world.partner() as partner:
        partner.publish_junk(75, 960_000)
        yield ("RelayQuarantineRefuses",)
        world.call(f"/v1/quarantine?partnerId={partner.id}", method="DELETE")


# Groups 2 and 3: the stream.

@provokes(2, "RelayStreamReconnecting")
def closing(world: World) -> Steps:
    """Pusher ends each connection as soon as it is made; then it lets them stand"""
    # The first of a kind is no increase.
    world.pusher.drop_all()
    world.settle()
    time.sleep(2)
    world.pusher.hangs_up = True
    world.pusher.drop_all()
    yield ("RelayStreamReconnecting",)
    world.pusher.hangs_up = False
    world.settle()


@provokes(3, "RelayStreamDown", "RelayGapOpen")
def refused(world: World) -> Steps:
    """Pusher ends every connection and refuses new ones; then it takes them"""
    world.pusher.refuses = True
    world.pusher.drop_all()
    yield "RelayStreamDown", "RelayGapOpen"
    world.pusher.refuses = False
    world.settle()


# Group 4: Postgres.

@provokes(4, "RelayDatabaseDown", "RelaySpoolInUse", "RelaySpoolFull", "RelayMessagesLost")
def away(world: World) -> Steps:
    """Postgres is stopped, and 5 MB of orders are heard with RELAY_SPOOL_MAX_BYTES=4 MiB; then it is started"""
    world.postgres.stop()
    world.everyday.publish(1)
    for relay in world.relays:
        wait(relay.has_spooled, "a spool in use")
    # One by one: of what is spooled together nothing is taken if not all of it has room.
    for _ in range(50):
        world.everyday.publish(1, padding=70_000)
        time.sleep(0.2)
    yield "RelayDatabaseDown", "RelaySpoolInUse", "RelaySpoolFull", "RelayMessagesLost"
    world.postgres.start()
    world.settle()


# Group 5: processes.

@provokes(5, "RelayMissing", "RelayReplicaDown", "RelayStreamAlone", "RelaySpoolDamaged")
def killed(world: World) -> Steps:
    """kill -9 of both relays, then one is started; the spool of the other is damaged meanwhile, then it is started too"""
    one, two = world.relays
    world.postgres.stop()
    world.everyday.publish(3)
    wait(two.has_spooled, "a spool in use")
    one.end(signal.SIGKILL)
    two.end(signal.SIGKILL)
    world.postgres.start()
    two.damage_spool()
    yield ("RelayMissing",)
    one.start()
    yield "RelayReplicaDown", "RelayStreamAlone"
    two.start()
    yield ("RelaySpoolDamaged",)
    world.settle()
    # It would be over at once if the relays were started anew.
    world.wait_until_over("RelaySpoolDamaged")


# Group 6: what nobody sends.

@provokes(6, "RelayDeliveriesStuck", "RelayHeldEnds")
def unsent(world: World) -> Steps:
    """the relays run without the role `dispatch` and with RELAY_HELD_DAYS=4, one delivery is due, one held; then as before"""
    with world.partner() as partner, world.endpoint(partner, "/due"), world.endpoint(partner, "/held") as held:
        world.call(f"/v1/endpoints/{held}/disable", method="POST")
        world.restart(roles="api,stream", held_days="4")
        partner.wait_until_heard()
        partner.publish(1)
        yield "RelayDeliveriesStuck", "RelayHeldEnds"
        world.restart()


# Group 7: connections to Postgres.

@provokes(7, "RelayPoolExhausted")
def exhausted_pool(world: World) -> Steps:
    """a relay with RELAY_DATABASE_CONNECTIONS=8 sends, and a session holds the lock of deliveries; then it ends"""
    two = world.relays[1]
    with world.partner() as partner, world.endpoint(partner, "/ok"):
        two.end()
        two.start(database_connections="8")
        with session("begin; lock table attempt, delivery in access exclusive mode"):
            partner.publish(50)
            yield ("RelayPoolExhausted",)
        world.wait_until_over("RelayPoolExhausted")
        two.end()
        two.start()
        world.settle()
