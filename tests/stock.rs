//! The stock in a real Redis: the suite that every stock runs, and the stories of a stock whose server may lose what it
//! was given, or be asked by many at once.

mod calls;
mod crowd;
mod fixture;
mod keyspace;
mod leftovers;
mod loss;
mod nonsense;
mod twins;
mod wire;

use fixture::OnServer;

shared::stock::conformance::suite!(OnServer);
