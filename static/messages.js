// Every sentence of the page, in one place, ready for translation. (The one exception is the
// sentence for browsers without scripts, which has to stand in the HTML.) Entries are strings,
// or functions where something is filled in; plurals are the business of each language.

const english = "en";

/** The locale for numbers and times: the shopper's own variety of the page's language. */
export const locale =
  (globalThis.navigator?.languages ?? []).find((tag) => tag.split("-")[0] === english) ?? english;

const days = (n) => (n === 1 ? "1 day" : `${n} days`);
const tickets = (n) => (n === 1 ? "1 ticket" : `${n} tickets`);

/** A span of time in words, rounded as a person would: `about 20 seconds`. */
export function roughly(ms) {
  const seconds = Math.ceil(ms / 1000);
  if (seconds <= 1) return "a moment";
  if (seconds < 60) return `about ${seconds} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return minutes === 1 ? "about a minute" : `about ${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours === 1 ? "about an hour" : `about ${hours} hours`;
}

export const text = {
  days,
  shop: "Stampede",
  skip: "Skip to the tickets",
  my_tickets: "My tickets",
  footer: "Your card details go straight to Stripe. This shop never sees them.",
  title: (name) => `${name} · Stampede`,

  steps: { label: "Steps", choose: "Choose", pay: "Pay", done: "Tickets" },

  sales: {
    title: "On sale",
    lead: "Pick a sale. Nothing is charged until you press Pay.",
    none: "Nothing is on sale right now.",
    from: (price) => `from ${price}`,
    opens: (clock) => `Opens ${clock}`,
    status: {
      scheduled: "Not open yet",
      open: "On sale",
      paused: "Paused",
      sold_out: "Sold out",
      closed: "Closed",
    },
    failed: "The sales could not be loaded. Trying again.",
    not_found: "There is no such sale.",
    all: "See what is on sale",
  },

  choose: {
    title: "Choose your tickets",
    lead: "Nothing is charged yet. Your tickets are set aside for you while you pay.",
    scheduled: {
      title: "Not open yet",
      lead: "No need to reload: this page opens by itself. You can choose how many already.",
    },
    sold_out_now: {
      title: "Sold out",
      lead: "When somebody’s time to pay runs out, their tickets come back and are shown here at once.",
    },
    over: { title: "No longer on sale", lead: "The sale is closed." },
    stopped: { title: "Paused for a moment", lead: "No need to reload: this page goes on by itself." },
    early: "Not open yet.",
    closes: (clock) => `On sale until ${clock}`,
    opens_in: "Opens in",
    free: (n) => `${n} left`,
    plenty: "Available",
    sold_out: "Sold out",
    closed: "No longer on sale",
    paused: "Paused",
    limit: "You have all you may buy",
    quantity: (name) => `How many: ${name}`,
    fewer: (name) => `One less: ${name}`,
    more: (name) => `One more: ${name}`,
    go: "Continue to payment",
    going: "Setting your tickets aside…",
    none: "Choose at least one ticket.",
    only: (n) => (n === 0 ? "None are left." : `Only ${n} can be had now.`),
    have: (n) => `You have ${tickets(n)} for this sale already.`,
    see: "See them",
  },

  summary: {
    title: "Your order",
    empty: "No tickets chosen yet.",
    total: "Total",
    quantity: (n) => `${n} ×`,
    note: "This is all that is charged.",
  },

  pay: {
    title: "Payment",
    again: "Try another card",
    held: "Set aside for you for",
    still: "You can try again for",
    until: (clock) => `until ${clock}`,
    change: "Change",
    name: "Name",
    email: "E-mail",
    email_hint: "For this order only, so that the shop can reach you.",
    card: "Card",
    loading: "Loading the card field…",
    go: (price) => `Pay ${price}`,
    going: "Sending your payment…",
    elsewhere: "Pay on Stripe’s page",
    secure: "You are charged once, whatever happens to this page.",
    back: "Back",
    need_name: "Enter your name.",
    need_email: "Enter an e-mail address such as name@example.com.",
    card_failed: "The card field could not be loaded. Check your connection, then reload the page.",
    card_refused: "The card could not be read. Check the details and try again.",
  },

  sandbox: {
    title: "Test mode: no real money moves",
    lead: "Use one of these card numbers with any future date and any three digits.",
    copy: "Copy",
    copied: "Copied",
    copy_number: (number) => `Copy card number ${number}`,
    outcomes: {
      success: "succeeds",
      declined: "is declined",
      funds: "has too little money",
      expired: "has expired",
      cvc: "has a wrong security code",
      secure: "asks for 3-D Secure",
    },
  },

  order: {
    number: "Order",
    charge: "Charge",
    position: "Place in line",
    next: "Next",
    eta: "Time left",
    eta_unknown: "Working it out",
    soon: "Any moment now",
    keep: "You can close this page. Your place is kept and the result waits here for you.",
    accepted: {
      title: "Your order is in the queue",
      lead: "Your tickets are yours while we charge your card.",
    },
    charging: {
      title: "Charging your card",
      lead: "Your bank is being asked. This usually takes a few seconds.",
    },
    sending: {
      title: "Sending your payment",
      lead: "Please leave this page open for a moment.",
    },
    requires_action: {
      title: "Your bank wants to know it is you",
      lead: "Confirm this payment in your bank’s window or app to finish the order. Nothing is charged before that.",
      go: "Confirm with my bank",
      instead: "Use another card instead",
      kept: "Your tickets are kept for you for",
      over: "The time to confirm is up.",
    },
    leaving: {
      title: "Taking you to the payment page",
      lead: "Stripe is preparing a page for your order. You are led there in a moment.",
    },
    hosted: {
      title: "Waiting for your payment",
      lead: "You chose to pay on Stripe’s page. Nothing is charged before you pay there; you can also pay by card here.",
      go: "Continue to the payment page",
      instead: "Pay by card here instead",
      kept: "Your tickets are kept for you for",
      over: "The time to pay is up.",
    },
    looking: {
      title: "Checking your payment",
      lead: "We are asking Stripe. The result appears here in a moment.",
    },
    ending: {
      title: "Closing the payment page",
      lead: "We are making sure that nothing can be paid there any more. Then you can pay by card here.",
    },
    checking: {
      title: "Checking with your bank",
      lead: "Thank you. The result appears here in a moment.",
    },
    giving_up: {
      title: "Putting this card aside",
      lead: "We are making sure with your bank that it is not charged. Then you can use another one.",
    },
    paid: {
      title: "You’re in",
      lead: (email) =>
        email ? `Paid. Your tickets are below, bought by ${email}.` : "Paid. Your tickets are below.",
    },
    declined: {
      title: "The card was declined",
      lead: "You have not been charged.",
      again: "Try another card",
      wait: "You can try again in",
      over: "No further attempt is possible for this order.",
    },
    closing: {
      title: "Your time is up",
      lead: "We are making sure with the bank that nothing is charged. The result appears here.",
    },
    review: {
      title: "We are checking your order",
      lead: "It has not failed. Your tickets are kept while we look; the result appears here.",
    },
    expired: {
      title: "This order has expired",
      lead: "The time to pay ran out. You have not been charged, and the tickets are on sale again.",
    },
    canceled: {
      title: "This order was canceled",
      lead: "You have not been charged for it.",
    },
    returned: {
      title: "Your payment came too late",
      lead: "The time to pay had run out, and the tickets were gone. All of the money is on its way back to your card. That can take some days.",
    },
    partially_refunded: {
      title: "Part of this order was refunded",
      lead: "The money is on its way back to your card. That can take some days.",
    },
    refunded: {
      title: "This order was refunded",
      lead: "The money is on its way back to your card. That can take some days.",
    },
    disputed: {
      title: "This payment is disputed",
      lead: "Its tickets are suspended until the bank has decided.",
    },
    missing: {
      title: "The shop does not know this order",
      lead: "If your card was charged, contact the shop and give the order number.",
    },
    restart: "Choose tickets again",
    more: "Buy more tickets",
    see: "See my tickets",
    reasons: {
      card_declined: "Your bank declined the card. It does not tell us why; your bank can tell you.",
      insufficient_funds: "There is not enough money on the card.",
      expired_card: "The card has expired.",
      incorrect_cvc: "The security code is wrong.",
      incorrect_number: "The card number is wrong.",
      processing_error: "The bank could not process the payment just now.",
      authentication_required: "Your bank did not confirm that it was you.",
      try_another_card: "This card cannot be used here. Please use another one.",
    },
  },

  tickets: {
    title: "My tickets",
    lead: "Everything bought in this browser. It updates by itself.",
    none: "You have no tickets yet.",
    code: "Ticket code",
    refunded: "Refunded: no longer valid",
    bought: (when) => `Bought ${when}`,
    open: "Open",
    state: {
      accepted: "In the queue",
      charging: "Charging",
      requires_action: "Waiting for you",
      declined: "Declined",
      closing: "Closing",
      review: "Being checked",
      paid: "Paid",
      expired: "Expired",
      canceled: "Canceled",
      partially_refunded: "Partly refunded",
      refunded: "Refunded",
      disputed: "Disputed",
    },
  },

  turn: (time) => `Your turn is at about ${time}; keep this page open.`,

  status: {
    lost: "The connection is lost. Reconnecting.",
    lost_pending: "The connection is lost. Your order is safe; reconnecting.",
    holding: "Setting your tickets aside.",
    renewing: "The shop counted its stock again. Setting your tickets aside once more.",
    busy: "Many people are buying right now. Trying again by itself; please wait.",
    unanswered: "No answer yet. Asking again by itself; please wait.",
    resending:
      "No answer yet. The same order is being sent again; you are charged once at most.",
    resending_busy: "Many people are paying right now. Your order is sent again by itself; please wait.",
    elsewhere: "You are paying in another tab of this browser. The result appears here too.",
    paused: "The sale is paused. This page goes on by itself.",
    closed: "The sale is closed.",
    sold_out: "Everything is sold out.",
    held: "Your tickets are set aside for you.",
    held_again:
      "The shop counted its stock again. Your tickets are set aside once more, with new time to pay.",
    sending: "Sending your payment.",
    accepted: "Your order was accepted. The card is charged next.",
    charging: "Your card is being charged.",
    requires_action: "Your bank wants to know it is you.",
    leaving: "Taking you to the payment page.",
    hosted: "Your payment on Stripe’s page is waiting for you.",
    looking: "Checking your payment.",
    ending: "Closing the payment page.",
    checking: "Checking with your bank.",
    giving_up: "Putting this card aside.",
    paid: "Paid. Your tickets are here.",
    declined: "The card was declined.",
    closing: "The time to pay is up. Making sure that nothing is charged.",
    review: "Your order is being checked.",
    expired: "The order has expired. You have not been charged.",
    canceled: "The order was canceled.",
    returned: "Your payment came too late. All of the money is on its way back to you.",
    partially_refunded: "Part of the order was refunded.",
    refunded: "The order was refunded.",
    disputed: "The payment is disputed.",
    missing: "The shop does not know this order.",
  },

  alert: {
    hold_expired: "Your time to pay ran out and the tickets went back on sale. Choose again.",
    sold_out: (name) =>
      name ? `“${name}” is sold out by now. Choose something else.` : "That is sold out by now.",
    limit_reached: (name) =>
      name
        ? `That is more of “${name}” than one person may buy.`
        : "That is more than one person may buy.",
    not_open: "The sale is not open. Nothing was charged.",
    paused: "The sale is paused. Nothing was charged; try again when it goes on.",
    order_conflict:
      "The order could not be sent like this. Nothing was charged. Press Pay again.",
    no_customer: "The shop did not recognise this browser any more. Choose your tickets again.",
    declined: (reason) => `The card was declined. ${reason}`,
    requires_action: "Your bank wants you to confirm this payment.",
    hosted: "This order is not paid yet.",
    bank: {
      unfinished: "The confirmation was not finished. Open your bank’s window again, or use another card.",
      unreachable: "Your bank’s window could not be opened. Check your connection and try again.",
      kept: "That did not work just now. Try again in a moment.",
    },
    refused: (detail) => detail || "The shop could not do that. Try again.",
  },
};

/** The reason of a decline, in the page's words; the server's when the class is new to us. */
export function reasonOf(decline) {
  return text.order.reasons[decline.code] ?? decline.message ?? text.order.reasons.card_declined;
}
