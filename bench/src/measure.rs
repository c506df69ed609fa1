//! What is measured, and how the measurements of several driver processes, or of several waves, become one.

pub mod again;
pub mod clock;
pub mod figures;
pub mod processes;
pub mod seen;
pub mod spectrum;
