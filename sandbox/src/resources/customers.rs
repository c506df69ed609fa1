//! Customers.

use super::lists;
use crate::{
    failure::Failure,
    form::{MetadataChange, Params},
    model::{Customer, Metadata, Snapshot},
    work::{Call, Request, new_id, random},
};

struct Fields {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    description: Option<String>,
    address: Option<Metadata>,
    metadata: MetadataChange,
}

fn fields(params: &mut Params) -> Result<Fields, Failure> {
    let address = params.branch("address")?.map(super::instrument::address).transpose()?;
    params.ignore(&["preferred_locales", "tax_exempt", "invoice_settings", "shipping"]);
    Ok(Fields {
        name: params.text_or_empty("name")?,
        email: params.text_or_empty("email")?,
        phone: params.text_or_empty("phone")?,
        description: params.text_or_empty("description")?,
        address,
        metadata: params.metadata()?,
    })
}

impl Fields {
    fn apply(self, customer: &mut Customer) {
        let set = |field: &mut Option<String>, value: Option<String>| {
            if let Some(value) = value {
                *field = Some(value).filter(|value| !value.is_empty());
            }
        };
        set(&mut customer.name, self.name);
        set(&mut customer.email, self.email);
        set(&mut customer.phone, self.phone);
        set(&mut customer.description, self.description);
        if let Some(address) = self.address {
            customer.address = address;
        }
        self.metadata.apply(&mut customer.metadata);
    }
}

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let fields = fields(&mut request.params)?;
    Call::new(request.params, move |work| {
        let mut customer = Customer {
            id: new_id("cus_"),
            created: work.now,
            name: None,
            email: None,
            phone: None,
            description: None,
            address: Metadata::new(),
            metadata: Metadata::new(),
            invoice_prefix: random(8).to_uppercase(),
        };
        fields.apply(&mut customer);
        let customer = work.put(customer);
        work.event("customer.created", Snapshot::Customer(customer.clone()));
        Ok(work.render(&*customer))
    })
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let customer = work.find::<Customer>("customer", &request.id, "id")?;
        Ok(work.render(&*customer))
    })
}

pub(super) fn update(mut request: Request<'_>) -> Result<Call, Failure> {
    let fields = fields(&mut request.params)?;
    let id = request.id.clone();
    let call = Call::new(request.params, move |work| {
        let mut customer = (*work.find::<Customer>("customer", &request.id, "id")?).clone();
        fields.apply(&mut customer);
        let customer = work.put(customer);
        work.event("customer.updated", Snapshot::Customer(customer.clone()));
        Ok(work.render(&*customer))
    })?;
    Ok(call.locking([id]))
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let email = request.params.text("email")?;
    lists::call(
        request.params,
        "/v1/customers",
        "customer",
        |customer: &Customer| customer.created,
        move |customer| email.is_none() || customer.email == email,
    )
}
