//! Whether everything comes to its end: from every state a settled one can be reached, and nothing stops elsewhere.
//!
//! stateright's own `eventually` does not see what goes round in circles, and workers that ask again do. So the states are
//! walked through a second time, and then backwards from those that are settled. What is not met on the way back is an
//! order that nobody can bring to its end any more.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use stateright::Model as _;

use crate::actions::Action;
use crate::properties::is_settled;
use crate::rules::Rules;
use crate::world::World;

/// What was found.
#[derive(Debug)]
pub struct Ends {
    /// States that were walked through.
    pub states: usize,
    /// Of those, settled ones.
    pub settled: usize,
    /// The steps to a state from which no settled one can be reached, and that state.
    pub lost: Option<(Vec<Action>, Box<World>)>,
}

#[derive(Default)]
struct Walk {
    numbers: HashMap<u64, u32>,
    /// From where a state was first reached.
    parents: Vec<u32>,
    /// Who leads to a state, one pair an edge.
    edges: Vec<(u32, u32)>,
    settled: Vec<u32>,
}

impl Walk {
    /// The number of a state, and whether it is new.
    fn number(&mut self, world: &World, parent: u32) -> (u32, bool) {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(hasher.finish()).or_insert(next);
        if number == next {
            self.parents.push(parent);
            if is_settled(world) {
                self.settled.push(next);
            }
        }
        (number, number == next)
    }

    fn of(rules: &Rules) -> Self {
        let mut walk = Self::default();
        let first = World::new(rules);
        walk.number(&first, 0);
        let mut todo = vec![(0, first)];
        while let Some((from, world)) = todo.pop() {
            for next in rules.next_states(&world) {
                let (to, new) = walk.number(&next, from);
                walk.edges.push((to, from));
                if new {
                    todo.push((to, next));
                }
            }
        }
        walk
    }

    /// A state from which no settled one can be reached.
    fn lost(&mut self) -> Option<u32> {
        self.edges.sort_unstable();
        let mut good = vec![false; self.parents.len()];
        let mut todo = self.settled.clone();
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut good[at as usize], true) {
                continue;
            }
            let first = self.edges.partition_point(|(to, _)| *to < at);
            let before = self.edges[first..].iter().take_while(|(to, _)| *to == at).map(|(_, from)| *from);
            todo.extend(before.filter(|from| !good[*from as usize]));
        }
        good.iter().position(|good| !good).and_then(|at| u32::try_from(at).ok())
    }

    /// The steps to a state.
    fn path(&self, rules: &Rules, mut to: u32) -> (Vec<Action>, Box<World>) {
        let mut numbers = vec![to];
        while to != 0 {
            to = self.parents[to as usize];
            numbers.push(to);
        }
        let (mut world, mut path) = (World::new(rules), Vec::new());
        for wanted in numbers.into_iter().rev().skip(1) {
            let is_wanted = |world: &World| {
                let mut hasher = DefaultHasher::new();
                world.hash(&mut hasher);
                self.numbers.get(&hasher.finish()) == Some(&wanted)
            };
            let Some((action, next)) = rules.next_steps(&world).into_iter().find(|(_, next)| is_wanted(next)) else {
                break;
            };
            path.push(action);
            world = next;
        }
        (path, Box::new(world))
    }
}

/// Walks through all states, there and back.
#[must_use]
pub fn find(rules: &Rules) -> Ends {
    let mut walk = Walk::of(rules);
    let lost = walk.lost().map(|at| walk.path(rules, at));
    Ends { states: walk.parents.len(), settled: walk.settled.len(), lost }
}
