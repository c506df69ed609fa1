# syntax=docker/dockerfile:1
# One small image with the one command `stampede`: web, worker, migrate and all others are its sub-commands.
#
#   docker build --tag stampede .
#   docker run --rm stampede --help
#
# Settings are given when it runs (compose.yaml shows how); nothing secret is in it, and .dockerignore lets nothing but
# sources in.

# The same as in rust-toolchain.toml; a test compares them.
ARG RUST=1.95.0

FROM rust:${RUST}-slim-bookworm AS build
ARG RUST
# The toolchain is there: rustup should not fetch rustfmt and clippy because rust-toolchain.toml names them.
ENV RUSTUP_TOOLCHAIN=${RUST} CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
WORKDIR /src

# Dependencies by themselves: this layer is made again only when a manifest or Cargo.lock changes. Cargo wants to see
# every member, so that each gets an empty source.
COPY Cargo.toml Cargo.lock ./
COPY bench/Cargo.toml bench/
COPY fuzzing/Cargo.toml fuzzing/
COPY model/Cargo.toml model/
COPY sandbox/Cargo.toml sandbox/
COPY shared/Cargo.toml shared/
COPY simulation/Cargo.toml simulation/
COPY stampede/Cargo.toml stampede/
COPY tests/Cargo.toml tests/
COPY web/Cargo.toml web/
COPY worker/Cargo.toml worker/
COPY xtask/Cargo.toml xtask/
RUN for member in bench fuzzing model sandbox shared simulation stampede web worker xtask; do \
        mkdir "$member/src" && echo 'fn main() {}' > "$member/src/main.rs" && : > "$member/src/lib.rs" || exit 1; \
    done \
    && rm stampede/src/lib.rs && : > tests/lib.rs && echo 'fn main() {}' > tests/main.rs \
    && cargo build --locked --profile dist --package stampede

COPY sandbox sandbox
COPY shared shared
COPY simulation simulation
COPY stampede stampede
COPY static static
COPY web web
COPY worker worker
# A file that is older than the empty one in whose place it came would be taken for built.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile dist --package stampede \
    && install -D target/dist/stampede /out/stampede

# The C library that it was linked against. Roots of trust for TLS are compiled in.
FROM debian:bookworm-slim
RUN groupadd --system --gid 10001 stampede \
    && useradd --system --uid 10001 --gid stampede --no-create-home --home-dir /var/lib/stampede stampede \
    && install -d -o stampede -g stampede -m 0700 /var/lib/stampede
COPY --from=build /out/stampede /usr/local/bin/stampede
USER 10001:10001
WORKDIR /var/lib/stampede
# Within a container all addresses are the container's own; who may reach it is said where the port is published.
ENV BIND=0.0.0.0:3000 DATA_DIR=/var/lib/stampede
EXPOSE 3000
# A web process is told to move its sockets, a worker to finish its charges; 30 s are enough for both.
STOPSIGNAL SIGTERM
# No HEALTHCHECK: web processes and workers are asked at different ports. compose.yaml says at which.
ENTRYPOINT ["stampede"]
CMD ["web"]
