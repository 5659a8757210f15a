//! What the simulated Transak plays.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use transak_relay::sandbox::lifecycle::{Lifecycle, Plan};

use crate::world::World;

/// Orders played at a steady rate, and every event there was.
pub(crate) struct Load<'w> {
    pub(crate) world: &'w World,
    lives: Vec<Lifecycle>,
    random: fastrand::Rng,
    most: usize,
    pub(crate) events: HashSet<(String, String)>,
    /// Every event and when it was published.
    pub(crate) published: Vec<((String, String), DateTime<Utc>)>,
    /// When something was published that no connection heard.
    pub(crate) unheard: Vec<DateTime<Utc>>,
}

impl<'w> Load<'w> {
    pub(crate) fn new(world: &'w World, most: usize) -> Self {
        let (lives, random) = (Vec::new(), fastrand::Rng::with_seed(7));
        let (events, published, unheard) = (HashSet::new(), Vec::new(), Vec::new());
        Self { world, lives, random, most, events, published, unheard }
    }

    pub(crate) fn played(&self) -> usize {
        self.events.len()
    }

    /// How many events nobody was told of.
    pub(crate) fn untold(&self, world: &World) -> usize {
        self.events.difference(&world.receiver.told()).count()
    }

    /// Goes on until `until` events were played, `rate` a second, 50 orders at a time.
    pub(crate) async fn play(&mut self, until: usize, rate: u32) -> anyhow::Result<()> {
        let mut beat = tokio::time::interval(Duration::from_secs(1) / rate);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        while self.events.len() < until.min(self.most) {
            beat.tick().await;
            while self.lives.len() < 50 {
                let plans: Vec<Plan> = Plan::ROUND
                    .iter()
                    .copied()
                    .filter(|plan| plan.points().iter().all(|point| point.on_stream))
                    .collect();
                let plan = plans[self.random.usize(..plans.len())];
                self.lives.push(Lifecycle::new(plan, &mut self.random));
            }
            let (at, now) = (self.random.usize(..self.lives.len()), Utc::now());
            match self.world.upstream.step(&mut self.lives[at]).await? {
                Some((step, listeners)) => {
                    if listeners == 0 {
                        self.unheard.push(now);
                    }
                    let event = (self.lives[at].order_id().to_owned(), step.status.to_owned());
                    self.published.push((event.clone(), now));
                    self.events.insert(event);
                }
                None => drop(self.lives.swap_remove(at)),
            }
        }
        Ok(())
    }
}
